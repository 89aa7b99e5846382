(() => {
  // What a person sees: texts with an area, in shadow trees too, and which of them a reader is told at once.
  const texts = [];
  const visible = (element) => !element.checkVisibility || element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const told = (element) => {
    for (let one = element; one; one = one.parentElement || (one.getRootNode() && one.getRootNode().host)) {
      const role = one.getAttribute && one.getAttribute("role");
      if (role === "alert" || role === "status" || role === "alertdialog") return true;
      const live = one.getAttribute && one.getAttribute("aria-live");
      if (live && live !== "off") return true;
    }
    return false;
  };
  const range = document.createRange();
  const walk = (node, seen) => {
    if (texts.length > 5000) return;
    for (const child of node.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) {
        const text = child.data.replace(/\s+/g, " ").trim();
        if (!text || !seen) continue;
        range.selectNodeContents(child);
        const box = range.getBoundingClientRect();
        if (box.width > 2 && box.height > 2) {
          texts.push({ text: text.slice(0, 2000), told: told(child.parentElement || node.host || node), top: box.top + scrollY });
        }
      } else if (child.nodeType === Node.ELEMENT_NODE) {
        const name = child.localName;
        if (name === "script" || name === "style" || name === "noscript" || name === "template" || name === "head") continue;
        if (getComputedStyle(child).display === "none") continue;
        const shown = visible(child);
        if (child.shadowRoot) walk(child.shadowRoot, shown);
        walk(child, shown);
      }
    }
  };
  if (document.body) walk(document.body, true);
  const areas = [...document.querySelectorAll("img, svg, canvas, video, iframe")].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width > 8 && box.height > 8 && visible(one);
  }).length;
  const controls = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, [role=button], [role=link]")]
    .filter((one) => { const box = one.getBoundingClientRect(); return box.width > 0 && box.height > 0 && visible(one); });
  const named = controls.map((one) => (one.getAttribute("aria-label") || one.innerText || one.name || one.type || one.localName).trim().slice(0, 80));
  const passwords = controls.filter((one) => one.type === "password").length;
  const dialogs = [...document.querySelectorAll("dialog[open], [role=dialog], [role=alertdialog], [aria-modal=true]")]
    .filter((one) => { const box = one.getBoundingClientRect(); return box.width > 0 && box.height > 0 && visible(one); }).length;
  return { texts, areas, controls: named, passwords, dialogs };
})()
