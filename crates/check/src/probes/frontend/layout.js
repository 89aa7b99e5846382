(width) => {
  // How a page fits a screen of this width.
  const meta = document.querySelector("meta[name=viewport]");
  const content = (meta && meta.content.toLowerCase()) || "";
  const viewport = /width\s*=\s*device-width/.test(content) || /initial-scale\s*=\s*1/.test(content);
  const visible = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const root = document.scrollingElement || document.documentElement;
  const clips = (one) => ["hidden", "clip"].includes(getComputedStyle(one).overflowX);
  const clipped = clips(document.documentElement) || (document.body && clips(document.body));
  const full = Math.max(root.scrollWidth, document.documentElement.scrollWidth);
  // What is cut off cannot be scrolled to.
  const across = clipped ? Math.min(full, width) : full;
  let widest = "", reach = width + 1;
  if (across > width + 1) {
    for (const one of document.body.querySelectorAll("*")) {
      const box = one.getBoundingClientRect();
      if (box.right + scrollX > reach && visible(one)) {
        reach = box.right + scrollX;
        widest = one.localName + (one.id ? "#" + one.id : one.classList.length ? "." + one.classList[0] : "");
      }
    }
  }
  let letters = 0, legible = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node && letters < 200000; node = walker.nextNode()) {
    const text = node.data.trim(), parent = node.parentElement;
    if (!text || !parent || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(parent.tagName) || !visible(parent)) continue;
    letters += text.length;
    if (parseFloat(getComputedStyle(parent).fontSize) >= 12) legible += text.length;
  }
  const inline = (one) => one.localName === "a" && getComputedStyle(one).display === "inline" && one.parentElement
    && one.parentElement.innerText.trim().length > one.innerText.trim().length + 3;
  const boxes = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, [role=button]")]
    .filter((one) => visible(one) && !inline(one)).map((one) => one.getBoundingClientRect())
    .filter((box) => box.width > 1 && box.height > 1).slice(0, 400);
  const centre = (box) => [box.left + box.width / 2, box.top + box.height / 2];
  const touchable = boxes.filter((box) => {
    if (box.width >= 24 && box.height >= 24) return true;
    const [x, y] = centre(box);
    return !boxes.some((other) => {
      if (other === box) return false;
      const near = Math.hypot(Math.max(other.left - x, 0, x - other.right), Math.max(other.top - y, 0, y - other.bottom));
      return near < 12;
    });
  }).length;
  return { viewport, width: across, widest, letters, legible, targets: boxes.length, touchable };
}
