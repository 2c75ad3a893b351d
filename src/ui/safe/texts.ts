/** Every word of the place Safe: the door (create, open, unlock) and what is behind it. */
export const unlockTexts = {
  startingTitle: 'One moment',
  starting: 'Starting Safe on this device…',

  welcomeTitle: 'A place for your files and your money that no company keeps for you',
  welcomeText:
    'Your Safe opens with a password and a phrase that only you know. Nobody else holds a copy, so nobody else can open it, and nobody can reset it for you.',
  create: 'Create a Safe',
  open: 'Open my Safe',
  howTitle: 'How it works',
  how: [
    'Your files are encrypted and split on this device before anything is sent.',
    'Many independent computers keep the pieces. None of them can read one.',
    'Money is yours like cash: whoever holds the keys in your Safe holds the money.',
    'There is no account at a company. If password or phrase is lost, the Safe stays shut.',
  ],

  step: (now: number, all: number) => `Step ${now} of ${all}`,
  nothingLeaves: 'Nothing leaves this device',
  back: 'Back',
  next: 'Continue',

  passwordTitle: 'Choose a password',
  passwordText:
    'You type it each time you open your Safe. Together with the phrase of the next step it is the only way in.',
  password: 'Password',
  repeat: 'Repeat password',
  show: 'Show',
  hide: 'Hide',
  makeOne: 'Make one for me',
  madeOne: 'Made from five random words. Write it down, or keep it in a password manager.',
  capsLock: 'Caps Lock is on.',
  strength: 'Password strength',
  checkingStrength: 'Checking how hard it is to guess…',
  strengthNames: ['Very weak', 'Weak', 'Fair', 'Strong', 'Very strong'],
  passwordMissing: 'Type a password first.',
  differAt: (position: number) => `The two entries differ at character ${position}.`,
  repeatMissing: 'Repeat the password, so that no slip of a finger shuts you out.',

  phraseTitle: 'Your phrase',
  phraseText:
    'Twelve words and a check word. With the password they open your Safe on any device. Write them down in this order, on paper.',
  phraseMaking: 'Making a phrase…',
  phraseHidden: 'Is nobody looking over your shoulder?',
  showPhrase: 'Show',
  hidePhrase: 'Hide',
  phraseList: 'Words to write down',
  checkWord: 'check word',
  print: 'Print',
  printWarning: 'Printers and PDF folders may keep a copy.',
  wroteDown: 'I wrote it down',

  checkTitle: 'Check what you wrote',
  checkText:
    'Type the words from your paper. This way you know today that you can read them later.',
  createNow: 'Check and create',
  creating: 'Creating your Safe. This takes a few seconds on purpose: it makes guessing slow.',
  differentPhrase: (position: number) =>
    `Word ${position} is not the one shown a moment ago. Compare it with your paper, or go back and look again.`,

  phrase: 'Phrase',
  phraseHint: 'Type or paste the words, with spaces between them.',
  wordCount: (count: number) => `${count} of 13 words`,
  phraseTyped: 'Your words, numbered',
  useWord: (word: string) => `Use “${word}”`,
  swapWords: 'Swap them',

  lockedTitle: 'Welcome back',
  lockedText: 'Your Safe is locked on this device.',
  unlock: 'Unlock',
  unlocking: 'Unlocking. This takes a few seconds on purpose: it makes guessing slow.',
  usePhrase: 'Use phrase instead',

  openTitle: 'Open my Safe',
  openText: 'First the phrase you wrote down, then your password.',
  checkingPhrase: 'Checking the words…',
  phraseAccepted: 'The phrase is complete.',
  remember: 'Remember on this device',
  rememberHint: 'Next time the password is enough here. Leave it off on a device that others use.',
  opening: 'Looking for your Safe and opening it. This takes a few seconds on purpose.',

  otherTitle: 'This is a different network',
  otherText:
    'This address now serves another network than the one your Safe belongs to. Nothing was changed and nothing was sent.',
  otherPinned: 'Your Safe belongs to',
  otherServed: 'This address serves',
  otherAdvice: [
    'If you expected this (a test network was started anew, for example), open your Safe at the address of its own network.',
    'If you did not expect it, close this page and ask whoever runs this address.',
    'If the network of your Safe is gone for good, you can forget the Safe here and use the new network.',
  ],
  otherForget:
    'This device then offers no Safe, and you can create one on the network that this address serves. Where the network of your Safe is still running, the phrase and the password open it there.',
} as const;

export const overviewTexts = {
  title: 'Your Safe',
  fingerprint: 'Fingerprint',
  fingerprintHint: 'The same words and dial on each of your devices mean the same Safe.',
  published: 'Kept by the network',
  publishedHint: 'Your list of files and money can be opened from any device.',
  waiting: 'Waiting for the network',
  waitingHint:
    'The last changes are on this device only so far. They are saved as soon as the network answers.',
  files: 'Files',
  filesCount: (count: number) => (count === 1 ? '1 file' : `${count} files`),
  sending: (count: number) => (count === 1 ? '1 on its way' : `${count} on their way`),
  toFiles: 'Go to files',
  balance: 'Balance',
  toMoney: 'Go to money',
  lock: 'Lock',
  locking: 'Locking…',
  lockHint: 'Locking removes every key from this device’s memory.',
  access: 'Access keys',
  accessText: 'This Safe opens with both of these. A thief needs both; so do you.',
  accessPassword: 'Password',
  accessPasswordHint: 'Only in your head, or in your password manager',
  accessPhrase: 'Phrase',
  accessPhraseHint: 'On the paper you wrote it on',
  device: 'This device',
  readyTitle: 'Your Safe is ready.',
  readyText: 'Keep the paper with the phrase where only you find it, and not beside the password.',
  gotIt: 'Got it',
} as const;

export const forgetTexts = {
  forget: 'Forget this device',
  text: 'Removes this Safe from this device. What the network keeps of it stays there.',
  title: 'Forget this Safe on this device?',
  confirm:
    'This device will ask for the phrase again. Nothing is deleted from the network: the files and the money that it keeps stay in the Safe.',
  waiting:
    'The last changes have not reached the network yet. If you forget the Safe here now, files and money that are only on this device are gone.',
  elsewhere:
    'Files and money that are only on this device are gone if you forget the Safe here now.',
  needs: 'Make sure that you have the phrase on paper and know the password.',
  yes: 'Forget this device',
} as const;

export const sheetTexts = {
  title: 'Safe · phrase sheet',
  intro:
    'These twelve words and the check word, together with a password that is not on this sheet, open a Safe. This sheet alone opens nothing.',
  how: 'To open the Safe: go to the address below, choose “Open my Safe”, type the words in this order, then the password.',
  address: 'Address',
  made: 'Made on',
  keptAt: 'Kept at: ______________________________',
} as const;
