/** What thieves try first. Short on purpose: a library can be plugged in (`PasswordEstimator`). */
import { englishWords } from '#crypto/bip39.ts';

const names =
  'michael jennifer daniel jessica andrew joshua matthew anthony william thomas robert charlie ' +
  'maria anna laura sarah nicole amanda ashley hannah sophie martin peter alexander stefan david ' +
  'james john george jordan taylor hunter harley buster ginger bailey maggie pepper sammy lucky';
const favourites =
  'password passwort passw0rd contrasena motdepasse iloveyou ichliebedich teamo jetaime letmein ' +
  'welcome willkommen bienvenue admin administrator root login access master monkey dragon ' +
  'sunshine princess football baseball basketball soccer hockey superman batman starwars pokemon ' +
  'minecraft fortnite computer internet whatever trustno1 shadow freedom secret qwerty qwertz ' +
  'azerty asdfgh zxcvbn killer mustang jesus summer winter spring autumn flower butterfly ' +
  'chocolate cookie banana orange purple yellow diamond silver golden money bitcoin ethereum ' +
  'crypto hello hallo hola bonjour test testing changeme default guest temp pass user love lovely ' +
  'baby angel friend friends family forever cheese coffee matrix ninja samsung google facebook ' +
  'liverpool arsenal chelsea barcelona juventus bayern dortmund';
const ours =
  'safe mysafe safenet safenetwork network vault phrase elder section chunk token wallet account ' +
  'autonomi maidsafe filesafe moneysafe opensafe safesafe';

export const commonPasswords: readonly string[] = [
  ...new Set(`${favourites} ${ours} ${names}`.split(' ')),
];

const monthsAndDays =
  'january february march april june july august september october november december monday ' +
  'tuesday wednesday thursday friday saturday sunday';
const everyday =
  'the and for you with this that have from they what your house water horse correct battery ' +
  'staple table apple green black white blue red cat dog bird fish tree river mountain ocean star ' +
  'moon sun sky fire earth wind king queen castle knight sword magic music guitar piano dance ' +
  'happy crazy super mega ultra power strong school teacher student mother father brother sister';

export const commonWords: readonly string[] = [
  ...new Set([...englishWords, ...`${monthsAndDays} ${everyday}`.split(' ')]),
];

const forward = [
  '1234567890',
  'qwertyuiop',
  'asdfghjkl',
  'zxcvbnm',
  'qwertzuiop',
  'yxcvbnm',
  'azertyuiop',
  'qsdfghjklm',
  'wxcvbn',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm',
  '1q2w3e4r5t6y7u8i9o0p',
  '!@#$%^&*()',
  '!"§$%&/()=',
];

/** Neighbouring keys, in both directions. */
export const keyRows: readonly string[] = forward.flatMap((row) => [
  row,
  [...row].reverse().join(''),
]);
