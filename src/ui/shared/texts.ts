/** Words that more than one area says. One module per area, so that translations can follow. */
export const sharedTexts = {
  cannotStart:
    'Safe could not start in this browser. Reload the page; if it happens again, update the browser or try another one.',
  internal:
    'Something went wrong inside Safe. Your files and money are not affected. Try again, or reload the page.',
  copy: 'Copy',
  copied: 'Copied',
  copyFailed: 'Copying is not allowed here. Select the text and copy it yourself.',
  cancel: 'Cancel',
  close: 'Close',
  back: 'Back',
  undo: 'Undo',
  dismiss: 'Dismiss',
  notifications: 'Messages',
} as const;
