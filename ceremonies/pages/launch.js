// How a page that launched this one, in a frame or a window, is told what goes on.
// Messages go to the listed origins only, and the token is one that can only ask
// how the action ended.

export function openLaunch(page, post) {
  const target = page.mode === "popup" ? (parent === window ? null : parent) : page.mode === "window" ? opener : null;
  const above = page.mode === "popup" && location.ancestorOrigins?.[0];
  const origins = (page.launch ?? []).filter((origin) => !above || origin === above);
  if (!target || origins.length === 0) return null;
  const send = (message) => { for (const origin of origins) target.postMessage(message, origin); };
  const tell = (event, more) => send(JSON.stringify({ event, ...more }));

  document.documentElement.dataset.mode = page.mode;
  new ResizeObserver(() => send({ height: Math.ceil(document.body.getBoundingClientRect().height) })).observe(document.body);
  tell("AUTHSIGNAL_READY");
  if (page.status >= 400) {
    tell("AUTHSIGNAL_API_ERROR", { errorCode: page.note === "expired" ? "expired_token" : "invalid_token", statusCode: page.status });
  }
  return async () => {
    const { token } = await post("result").catch(() => ({}));
    tell("AUTHSIGNAL_CLOSE_POPUP", token ? { token } : {});
  };
}
