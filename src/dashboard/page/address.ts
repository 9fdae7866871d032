/** Where the feed of a page is. */

/** The address of the feed: below that of the page. */
export function feedAddress({ href }: { readonly href: string }): string {
  const url = new URL(href);
  url.pathname = `${url.pathname.replace(/\/$/, "")}/feed`;
  url.protocol = url.protocol.replace("http", "ws");
  url.search = url.hash = "";
  return url.href;
}

/** The address with which the server gives the browser a cookie for the token. */
export function tokenAddress({ href }: { readonly href: string }, token: string): string {
  const url = new URL(href);
  url.search = String(new URLSearchParams({ token }));
  url.hash = "";
  return url.href;
}
