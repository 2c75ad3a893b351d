import type { MoneySection } from '#money/spend-certificate.ts';
import type { PaymentElder, PaymentSections } from '#safe/payment/index.ts';

/** The keys of a client that knows one section and no history. */
export const onlyPaymentSection = (
  section: MoneySection,
  elders: readonly PaymentElder[],
): PaymentSections => ({
  networkId: section.networkId,
  genesisOutput: section.genesisOutput,
  current: [{ prefix: section.prefix, key: section.key, epoch: section.epoch, elders }],
  superseded: [],
});
