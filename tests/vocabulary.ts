/**
 * Words that this project no longer uses, and what to write instead. A reader who knows other
 * consensus protocols, libp2p or wallets needs no dictionary of ours (docs/style.md).
 * Scopes: C comments, D documents, T names of tests, U texts of the interface and the programs,
 * I exported names and names of files.
 */
export interface Retired {
  readonly pattern: RegExp;
  readonly scope: string;
  readonly use: string;
  /** `error`: has no good use. `warn`: may be right in a sentence of its own; then it is listed below. */
  readonly level: 'error' | 'warn';
}

export const retired: readonly Retired[] = [
  // 1. Subjects without a noun
  {
    pattern: /\bwhoever\b/i,
    scope: 'CDTU',
    use: 'the node / client / holder that',
    level: 'error',
  },
  {
    pattern: /\b(somebody|someone else|anybody|everybody)('s)?\b/i,
    scope: 'CDT',
    use: 'a node, any peer, every elder',
    level: 'error',
  },
  {
    pattern: /\bnobody('s)?\b/i,
    scope: 'CDT',
    use: 'no node, no peer; or make it positive',
    level: 'error',
  },
  {
    pattern: /(?:^|[.:;]\s+)who (?!(?:is|are|has|does|can) \w+.*\?)/i,
    scope: 'CD',
    use: 'a node that',
    level: 'warn',
  },
  {
    pattern: /\bwhat (?:is|was|has been) \w+ (?:is|was|stays|counts|goes)\b/i,
    scope: 'CDT',
    use: 'name the thing',
    level: 'warn',
  },
  // 2. Speech, hearing, belief
  {
    pattern:
      /\b(?:its?|their|one|first|second|last|own|elder's|key's|section's|holder's|author's) (?:one |only |own |last |first |second )?words?\b/i,
    scope: 'CDT',
    use: 'signature, statement, record',
    level: 'error',
  },
  {
    pattern: /\bwords? (?:on|of|for|about) (?:who|an?|the|its|this|five|three)\b/i,
    scope: 'CDT',
    use: 'signature over, record of',
    level: 'error',
  },
  {
    pattern: /\b(?:speaks?|spoke|speaking) (?:for|to|by|no|with|up|against|of)\b/i,
    scope: 'CDT',
    use: 'signs for; sends to; is current',
    level: 'error',
  },
  { pattern: /\bspeaks?\b/i, scope: 'CDT', use: 'is current; sends', level: 'warn' },
  {
    pattern: /\b(?:says?|said|saying)\b/i,
    scope: 'CDT',
    use: 'sends, signs, contains, states',
    level: 'warn',
  },
  {
    pattern: /\b(?:tells?|told|telling)\b(?! apart)/i,
    scope: 'CDT',
    use: 'sends, informs, shows',
    level: 'warn',
  },
  {
    pattern: /\b(?:hears?|heard|hearing)\b/i,
    scope: 'CDT',
    use: 'receives, learns',
    level: 'error',
  },
  { pattern: /\bbeliev(?:e|es|ed|ing)\b/i, scope: 'CDT', use: 'accepts, trusts', level: 'warn' },
  {
    pattern: /\b(?:thinks?|thought|thinking) (?:about|again|at)\b/i,
    scope: 'CDT',
    use: 'checks, processes',
    level: 'error',
  },
  { pattern: /\bsays? aloud\b/i, scope: 'CDT', use: 'broadcasts', level: 'error' },
  // 3. Metaphors for mechanisms
  { pattern: /\broads?\b/i, scope: 'CDTUI', use: 'transport, connection', level: 'error' },
  { pattern: /\bdoors?\b/i, scope: 'CDTI', use: 'request handler, entry point', level: 'error' },
  {
    pattern: /\bdesks?\b/i,
    scope: 'CDTI',
    use: 'pending generation, generation driver',
    level: 'error',
  },
  { pattern: /\bheirs?\b/i, scope: 'CDTI', use: 'incoming elder, successor elder', level: 'error' },
  {
    pattern: /\b(?:knock(?:s|ed|ing)?|breath(?:e|es)?|weather|deaf|cradle|reign)\b/i,
    scope: 'CDT',
    use: 'contact; start, stop; (drop it)',
    level: 'error',
  },
  {
    pattern: /\b(?:new-?born|is born|was born|were born|births?)\b/i,
    scope: 'CDTUI',
    use: 'genesis, created, new',
    level: 'warn',
  },
  {
    pattern: /\b(?:earlier|last|this|former) li(?:fe|ves)\b/i,
    scope: 'CDT',
    use: 'previous run, this run',
    level: 'error',
  },
  {
    pattern: /\b(?:asleep|sleeps?|sleeping)\b/i,
    scope: 'CDT',
    use: 'offline, suspended',
    level: 'warn',
  },
  { pattern: /\bstand-?ins?\b/i, scope: 'CDTI', use: 'proxy', level: 'error' },
  { pattern: /\bgate\b/i, scope: 'CDTI', use: 'admission control', level: 'warn' },
  // 4. Protocol terms
  {
    pattern: /\bstrong (?:statements?|ones?|for|votes?)\b|\b(?:be|is|are) strong\b/i,
    scope: 'CDT',
    use: 'precommit',
    level: 'error',
  },
  {
    pattern:
      /\b(?:draws?|drew|drawn|drawing) (?:a |the |its |their )?lots?\b|\blots? (?:is|are|was|were|may be) drawn\b|\b(?:by|their|its|whose|the|a|A|no) lots?\b(?! of)/i,
    scope: 'CDT',
    use: 'relocation lottery; selected to relocate',
    level: 'error',
  },
  { pattern: /\bmovers?\b/i, scope: 'CDTI', use: 'relocating node', level: 'error' },
  { pattern: /\btickets?\b/i, scope: 'CDTI', use: 'relocation certificate', level: 'error' },
  {
    pattern: /\bfalsehoods?\b|\bempty promises?\b/i,
    scope: 'CDTI',
    use: 'provable misbehaviour; missing copy',
    level: 'error',
  },
  {
    pattern: /\b(?:wish(?:es|ed)?|opinions?)\b/i,
    scope: 'CDTI',
    use: 'act to endorse; local observation',
    level: 'error',
  },
  {
    pattern: /\b(?:recall(?:s|ed)?|forgot)\b/i,
    scope: 'CDTI',
    use: 'state recovery query; lost state',
    level: 'error',
  },
  {
    pattern:
      /\bways? to (?:a|the|that|its|our) (?:key|section|name)\b|\bpage of the way\b|\bon the way to\b|\bshown the way\b/i,
    scope: 'CDT',
    use: 'key path, chain segment',
    level: 'error',
  },
  { pattern: /\bpac(?:e|ing) ticks?\b/i, scope: 'CDT', use: 'round timer', level: 'error' },
  {
    pattern: /\bchance of (?:a|the|its|this|one) (?:\w+ )?(?:decision|generation)\b/i,
    scope: 'CDT',
    use: 'randomness',
    level: 'error',
  },
  { pattern: /\bsilent\b/i, scope: 'CDT', use: 'unresponsive, or abstaining', level: 'warn' },
  {
    pattern: /\bplaces? (?:for|of) (?:a |one )?(?:joiners?|newcomers?)\b|\bjoin places?\b/i,
    scope: 'CDTU',
    use: 'vacancy',
    level: 'error',
  },
  // 5. Idioms
  {
    pattern: /\b(?:goes|go|going) on by (?:itself|themselves)\b/i,
    scope: 'CDTU',
    use: 'retries; "Safe keeps trying."',
    level: 'error',
  },
  { pattern: /\bunder way\b/i, scope: 'CDTU', use: 'in progress', level: 'error' },
  {
    pattern: /\bon (?:its|their) way\b/i,
    scope: 'CDTU',
    use: 'sending, in flight',
    level: 'error',
  },
  {
    pattern: /\bstands? (?:in|beside|on|at|for|before|above|after|behind)\b/i,
    scope: 'CDT',
    use: 'is in, is next to, represents',
    level: 'warn',
  },
  {
    pattern: /\b(?:in vain|for ever and ever|ever more rarely|with all that hangs on it)\b/i,
    scope: 'CDT',
    use: '(drop; with backoff; descendants)',
    level: 'error',
  },
  {
    pattern: /\bc(?:a|o)mes? to nothing\b|\bleads? nowhere\b|\bled nowhere\b/i,
    scope: 'CDT',
    use: 'fails; makes no progress',
    level: 'error',
  },
  {
    pattern: /\b(?:passers?-by|bearers?|strangers?)\b/i,
    scope: 'CDT',
    use: 'any client; unknown peer',
    level: 'warn',
  },
  { pattern: /(?<!look-)\balike\b/i, scope: 'CDT', use: 'identically, the same', level: 'warn' },
  { pattern: /\bno more\b(?! than)(?!\s+\w+s\b)/i, scope: 'CDT', use: 'no longer', level: 'warn' },
  {
    pattern: /\bso (?:many|often) (?:of|rounds|ticks|bytes|times)\b/i,
    scope: 'CDT',
    use: 'N; up to N',
    level: 'warn',
  },
  {
    pattern: /\b(?:is|are) to be (?!continued)\w+ed\b/i,
    scope: 'CDT',
    use: 'must be; or active',
    level: 'warn',
  },
  { pattern: /^Afterwards\b/i, scope: 'D', use: 'state the guarantee', level: 'error' },
];

/** Uses that are right, each with its reason. */
export const exceptions: readonly {
  readonly word: RegExp;
  readonly where: RegExp;
  readonly reason: string;
}[] = [
  {
    word: /^(says|door|word of the)$/i,
    where: /^src\/ui\/(safe|shared)\/texts\.ts$/,
    reason: 'texts that people read are rewritten together, in all languages',
  },
  {
    word: /^stranger$/,
    where: /^tests\/adversary\/main\.ts$/,
    reason: 'a value of the command line',
  },
];
