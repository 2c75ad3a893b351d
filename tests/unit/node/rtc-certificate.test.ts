/** Goal: a certificate that others accept, with a hash that is stable across restarts. */
import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { makeRtcCertificate, parseRtcCertificate } from '#node/keys/rtc-certificate.ts';

test.each(['2026-11-21T06:00:00Z', '2045-01-01T00:00:00Z'])(
  'OpenSSL reads and verifies it (made %s)',
  (at) => {
    const made = makeRtcCertificate(new Date(at));
    const certificate = new X509Certificate(made.pem);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.subject).toBe('CN=safe-node');
    const years = new Date(certificate.validTo).getUTCFullYear() - new Date(at).getUTCFullYear();
    expect(years).toBe(10);
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
  },
);

test('stored and read again it has the same certhash', () => {
  const made = makeRtcCertificate(new Date());
  expect(made.certhash).toMatch(/^uEi[\w-]{44}$/);
  expect(parseRtcCertificate(JSON.stringify(made))).toEqual(made);
  expect(parseRtcCertificate('{}')).toBeUndefined();
});
