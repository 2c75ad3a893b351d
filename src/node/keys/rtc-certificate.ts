/**
 * A node's own certificate for WebRTC: self-signed, P-256, ten years. libp2p renews its default every
 * 13 days, which changes the certhash in every address that peers have saved.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from 'node:crypto';

/** In the form `@libp2p/webrtc` takes. */
export interface RtcCertificate {
  /** PEM (PKCS #8). */
  readonly privateKey: string;
  readonly pem: string;
  /** Multibase base64url of the SHA-256 multihash of the certificate. */
  readonly certhash: string;
}

const validYears = 10;

/** @param now start of its validity (set a day earlier, for clocks that are behind). */
export function makeRtcCertificate(now: Date): RtcCertificate {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const der = selfSigned(privateKey, now);
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return {
    privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    pem: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
    certhash: certhashOf(der),
  };
}

/** Reads stored JSON; `undefined` when it is not a certificate with its key. */
export function parseRtcCertificate(text: string): RtcCertificate | undefined {
  try {
    const { privateKey, pem } = JSON.parse(text) as { privateKey: string; pem: string };
    createPrivateKey(privateKey);
    const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
    return { privateKey, pem, certhash: certhashOf(der) };
  } catch {
    return undefined;
  }
}

/** Multihash sha2-256 (0x12), 32 bytes (0x20), after the multibase letter of base64url. */
const certhashOf = (der: Buffer): string =>
  `u${Buffer.concat([Buffer.of(0x12, 0x20), createHash('sha256').update(der).digest()]).toString('base64url')}`;

/** X.509 v3 (RFC 5280) with the fewest fields: subject and issuer are the same name. */
function selfSigned(privateKey: KeyObject, now: Date): Buffer {
  const publicKey = createPublicKey(privateKey);
  const notBefore = new Date(now.getTime() - 86_400_000);
  const notAfter = new Date(now);
  notAfter.setUTCFullYear(now.getUTCFullYear() + validYears);
  const name = sequence(set(sequence(oid('550403'), tagged(0x0c, Buffer.from('safe-node'))))); // CN
  const algorithm = sequence(oid('2a8648ce3d040302')); // ecdsa-with-SHA256
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40; // Positive, and of one length.
  const body = sequence(
    tagged(0xa0, tagged(0x02, Buffer.of(2))), // v3
    tagged(0x02, serial),
    algorithm,
    name,
    sequence(time(notBefore), time(notAfter)),
    name,
    publicKey.export({ format: 'der', type: 'spki' }),
  );
  const signature = sign('sha256', body, privateKey);
  return sequence(body, algorithm, tagged(0x03, Buffer.concat([Buffer.of(0), signature])));
}

function tagged(tag: number, content: Buffer): Buffer {
  const size = content.length;
  const length =
    size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.of(tag, ...length), content]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => tagged(0x30, Buffer.concat(parts));
const set = (part: Buffer): Buffer => tagged(0x31, part);
const oid = (hex: string): Buffer => tagged(0x06, Buffer.from(hex, 'hex'));

/** UTCTime until 2049, GeneralizedTime after it (RFC 5280 §4.1.2.5). */
function time(date: Date): Buffer {
  const digits = `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050
    ? tagged(0x17, Buffer.from(digits.slice(2)))
    : tagged(0x18, Buffer.from(digits));
}
