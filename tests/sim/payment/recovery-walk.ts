/** All elders of one slot at once: what the adversary can do next, and what must hold afterwards. */
import {
  emptyRow,
  spends,
  textOfAt,
  type At,
  type Bug,
  type Message,
  type Model,
  type Report,
  type Row,
  type Spend,
} from './recovery-model.ts';

/** An honest elder, and everything it ever signed under this key. */
export interface Honest {
  readonly row: Row;
  readonly votes: readonly string[];
  readonly commits: readonly string[];
  /** Ballot and claim. */
  readonly reports: readonly (readonly [number, At | null])[];
  readonly bundles: readonly At[];
}
const fresh: Honest = { row: emptyRow, votes: [], commits: [], reports: [], bundles: [] };

export const freshSection = ({ count, quorum }: Model): readonly Honest[] =>
  Array.from({ length: quorum }, () => fresh).slice(0, count - liarsOf({ count }));
export const liarsOf = ({ count }: Pick<Model, 'count'>): number => (count - 1) / 3;

export const canBePrepared = (
  model: Model,
  section: readonly Honest[],
  at: At,
  bug: Bug,
): boolean => {
  const votes = section.filter(({ votes }) =>
    bug.mixes === 'shares'
      ? votes.some((vote) => vote.endsWith(at.spend))
      : votes.includes(textOfAt(at)),
  );
  return votes.length + liarsOf(model) >= model.quorum;
};

/** The spends of which a commit certificate can be made. */
export const finalSpends = (
  model: Model,
  section: readonly Honest[],
  maxBallot: number,
  bug: Bug,
): readonly Spend[] =>
  spends.filter((spend) =>
    ballotsTo(maxBallot).some((ballot) => {
      const signers = section.filter(({ commits }) =>
        bug.mixes === 'shares'
          ? commits.some((each) => each.endsWith(spend))
          : commits.includes(textOfAt({ ballot, spend })),
      );
      return signers.length + liarsOf(model) >= model.quorum;
    }),
  );

export const ballotsTo = (max: number): readonly number[] =>
  Array.from({ length: max + 1 }, (_, ballot) => ballot);

/** An honest elder that these convict would be blamed: two reports of one ballot, or a hidden commit. */
export function isConvicted({ reports, commits }: Honest): boolean {
  const byBallot = new Map(reports.map(([ballot, claim]) => [ballot, textOfAt(claim)]));
  if (reports.some(([ballot, claim]) => byBallot.get(ballot) !== textOfAt(claim))) return true;
  return reports.some(([ballot, claim]) =>
    commits.some((each) => {
      const committed = Number(each.slice(0, -1));
      return committed < ballot && committed > (claim?.ballot ?? -1);
    }),
  );
}

/** The same elder after one step. */
export function stepOf(model: Model, before: Honest, message: Message, met: Row | null): Honest {
  const { row, signed, claim } =
    met === null ? model.act(before.row, message) : model.finish(before.row, message, met);
  const at = textOfAt(message.at);
  const add = (list: readonly string[]): readonly string[] =>
    list.includes(at) ? list : [...list, at].sort();
  const isNewBundle = textOfAt(row.bundle) !== textOfAt(before.row.bundle);
  const report = [message.at.ballot, claim] as const;
  const isNewReport =
    signed === 'report' &&
    !before.reports.some(([b, c]) => b === report[0] && textOfAt(c) === textOfAt(claim));
  return {
    row,
    votes: signed === 'prepared' ? add(before.votes) : before.votes,
    commits: signed === 'committed' ? add(before.commits) : before.commits,
    reports: isNewReport ? [...before.reports, report].sort((a, b) => a[0] - b[0]) : before.reports,
    bundles: isNewBundle && row.bundle !== null ? [...before.bundles, row.bundle] : before.bundles,
  };
}

/** Claims that a liar can prove, or any with a bug. */
export function liarClaims(
  model: Model,
  section: readonly Honest[],
  ballot: number,
  bug: Bug,
): readonly (At | null)[] {
  const all = ballotsTo(ballot - 1).flatMap((b) => spends.map((spend) => ({ ballot: b, spend })));
  return [
    null,
    ...all.filter((at) => bug.claimsUnproven === true || canBePrepared(model, section, at, bug)),
  ];
}

/** Every choice of `size` items. */
export const choices = <T>(items: readonly T[], size: number): readonly (readonly T[])[] => {
  if (size === 0) return [[]];
  return items.flatMap((item, at) =>
    choices(items.slice(at + 1), size - 1).map((rest) => [item, ...rest]),
  );
};

export const highestOf = (reports: readonly Report[], spend: Spend): number | null => {
  const ballots = reports.flatMap(({ claim }) => (claim?.spend === spend ? [claim.ballot] : []));
  const all = reports.flatMap(({ claim }) => (claim === null ? [] : [claim.ballot]));
  const top = Math.max(-1, ...ballots);
  return top >= 0 && top === Math.max(...all) ? top : null;
};
