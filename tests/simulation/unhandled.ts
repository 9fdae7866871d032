/** Rejections without a handler: in a run they break a rule, and outside of one they end the process. */

export const unhandled: { report: ((error: unknown) => void) | undefined } = { report: undefined };

process.on("unhandledRejection", (error) => {
  if (unhandled.report === undefined) throw error;
  unhandled.report(error);
});
