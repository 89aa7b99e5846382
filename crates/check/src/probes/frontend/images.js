async (most, small) => {
  // Every picture made of pixels: its bytes, its size, the size it is shown at, and its bytes in a modern format.
  const found = [];
  const shown = [...document.images].filter((one) => one.currentSrc && !/\.svg($|[?#])|^data:image\/svg/.test(one.currentSrc));
  // Those that wait to come into sight are wanted now.
  for (const one of shown) one.loading = "eager";
  const late = new Promise((done) => setTimeout(done, 3000));
  await Promise.race([Promise.allSettled(shown.map((one) => one.decode())), late]);
  for (const one of shown.slice(0, most)) {
    if (!one.complete || !one.naturalWidth) continue;
    const box = one.getBoundingClientRect();
    let blob = null;
    try { blob = await (await fetch(one.currentSrc, { cache: "force-cache" })).blob(); } catch {}
    if (blob && blob.type === "image/svg+xml") continue;
    const timing = performance.getEntriesByName(one.currentSrc)[0];
    const inline = one.currentSrc.startsWith("data:") ? Math.round(one.currentSrc.length * 0.75) : 0;
    const bytes = blob ? blob.size : inline || (timing && timing.encodedBodySize) || 0;
    let encoded = null;
    if (blob && bytes >= small) {
      try {
        const bitmap = await createImageBitmap(blob);
        const canvas = document.createElement("canvas");
        canvas.width = bitmap.width; canvas.height = bitmap.height;
        canvas.getContext("2d").drawImage(bitmap, 0, 0);
        const again = await new Promise((done) => canvas.toBlob(done, "image/webp", 0.8));
        encoded = again && again.type === "image/webp" ? again.size : null;
      } catch {}
    }
    const name = one.currentSrc.startsWith("data:") ? "a picture in the page itself" : one.currentSrc.split("?")[0].split("/").pop().slice(0, 60);
    found.push({ url: one.currentSrc, name, bytes, kind: (blob && blob.type) || "", width: one.naturalWidth, height: one.naturalHeight,
      shown: box.width, shownHeight: box.height, encoded });
  }
  return found;
}
