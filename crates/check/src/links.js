(() => {
  // Paths of this site that the page leads to, each once.
  const found = new Set();
  for (const link of document.querySelectorAll("a[href]")) {
    const url = new URL(link.href, location.href);
    if (url.origin !== location.origin || link.hasAttribute("download")) continue;
    const path = url.pathname + url.search;
    if (/\.(pdf|zip|png|jpe?g|svg|webp|avif|gif|ico|xml|txt|csv|json|js|css|mp4|gz)$/i.test(url.pathname)) continue;
    if (path !== location.pathname + location.search) found.add(path);
  }
  return [...found].slice(0, 200);
})()
