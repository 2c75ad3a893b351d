export const shellTexts = {
  skip: 'Skip to the page',
  places: 'Places',
  safe: 'Safe',
  files: 'Files',
  money: 'Money',
  network: 'Network',
  // Tests wait for these words; no other text may contain them in any letter case.
  offlineReady: 'Ready for offline',
  offlinePreparing: 'Storing the app on this device…',
  offline: 'No network right now',
  updateReady: 'A new version of Safe is ready.',
  useUpdate: 'Use the new version',
  broken:
    'This page could not be shown. Your files and money are not affected. Try again, or reload the page.',
  tryAgain: 'Try again',
  reload: 'Reload',
  unsupportedTitle: 'Safe cannot run here',
  lostTitle: 'There is nothing here',
  lostText:
    'This address does not lead to a place in Safe. Your files and money are where they were.',
  lostAction: 'Go to your Safe',
} as const;
