(() => {
  // Makes one part of the page throw while it is drawn, as a bug in it would: React (17 and later) and Vue (3).
  // parts() tells which parts there are; throwIn(number) makes one throw and tells whether it did.
  const most = 6;
  const hosts = document.body ? document.body.getElementsByTagName("*").length : 0;

  const reactRoots = () => {
    const roots = [];
    for (const element of document.querySelectorAll("*")) {
      for (const key of Object.keys(element)) {
        if (key.startsWith("__reactContainer$") && element[key]) {
          const root = element[key].stateNode;
          if (root && root.current) roots.push(root.current);
        }
      }
      if (element._reactRootContainer) {
        const held = element._reactRootContainer;
        const root = held._internalRoot || held;
        if (root.current) roots.push(root.current);
      }
    }
    return roots;
  };

  const elementsOf = (fiber, found = []) => {
    if (fiber.tag === 5 && fiber.stateNode) { found.push(fiber.stateNode); return found; }
    for (let child = fiber.child; child; child = child.sibling) elementsOf(child, found);
    return found;
  };
  const size = (elements) => elements.reduce((sum, one) => sum + 1 + one.getElementsByTagName("*").length, 0);

  const isBoundary = (fiber) => fiber.tag === 1 && fiber.stateNode && (fiber.stateNode.componentDidCatch || fiber.type.getDerivedStateFromError);
  const holdsBoundary = (fiber) => {
    if (!fiber) return false;
    for (let child = fiber.child; child; child = child.sibling) if (isBoundary(child) || holdsBoundary(child)) return true;
    return false;
  };

  const reactParts = () => {
    const parts = [];
    const walk = (fiber, depth) => {
      // Functions, forwarded references and simple memos; classes have their own way.
      if ([0, 1, 11, 15].includes(fiber.tag)) {
        const elements = elementsOf(fiber);
        const type = fiber.type && (fiber.type.render || fiber.type);
        if (elements.length && !isBoundary(fiber)) {
          parts.push({ name: (type && (type.displayName || type.name)) || "a component", size: size(elements), depth, elements, fiber, kind: "React" });
        }
      }
      for (let child = fiber.child; child; child = child.sibling) walk(child, depth + 1);
    };
    for (const root of reactRoots()) walk(root, 0);
    return parts;
  };

  const stateOf = (fiber) => {
    // A piece of state that can be set to what it is, which has React look at its tree again.
    for (let hook = fiber.memoizedState; hook && typeof hook === "object" && "next" in hook; hook = hook.next) {
      const queue = hook.queue;
      try {
        if (queue && queue.dispatch && queue.lastRenderedReducer(1, () => 2) === 2) return { queue, value: hook.memoizedState };
      } catch {}
    }
    return null;
  };

  const throwInReact = (fiber) => {
    let threw = false;
    const thrower = function () { threw = true; throw new Error("seaworthy-check: this part throws"); };
    for (const one of [fiber, fiber.alternate]) {
      if (!one) continue;
      if (one.tag === 1) {
        one.stateNode.render = thrower;
      } else if (one.tag === 11) {
        one.type = { ...one.type, render: thrower };
      } else {
        one.type = thrower;
      }
    }
    if (fiber.tag === 1) { fiber.stateNode.forceUpdate(); return new Promise((done) => setTimeout(() => done(threw), 400)); }
    let root = fiber;
    while (root.return) root = root.return;
    let with_state = null;
    const search = (one) => {
      if (with_state) return;
      if ([0, 11, 15].includes(one.tag) && stateOf(one)) { with_state = one; return; }
      if (one.tag === 1 && one.stateNode) { with_state = one; return; }
      for (let child = one.child; child && !with_state; child = child.sibling) search(child);
    };
    search(root);
    if (!with_state) return Promise.resolve(false);
    if (with_state.tag === 1) {
      with_state.stateNode.forceUpdate();
    } else {
      const { queue, value } = stateOf(with_state);
      queue.dispatch(() => ({}));
      queue.dispatch(() => value);
    }
    const lanes = with_state.lanes | ((with_state.alternate && with_state.alternate.lanes) || 0);
    for (const one of [fiber, fiber.alternate]) if (one) one.lanes |= lanes;
    for (let above = fiber.return; above; above = above.return) {
      above.childLanes |= lanes;
      if (above.alternate) above.alternate.childLanes |= lanes;
    }
    return new Promise((done) => setTimeout(() => done(threw), 400));
  };

  const vueParts = () => {
    const parts = [];
    const walkNode = (node, depth) => {
      if (!node || typeof node !== "object") return;
      if (node.component) walk(node.component, depth + 1);
      if (Array.isArray(node.children)) node.children.forEach((child) => walkNode(child, depth));
      if (node.suspense) walkNode(node.suspense.activeBranch, depth);
    };
    const walk = (instance, depth) => {
      const element = instance.subTree && instance.subTree.el;
      const elements = [];
      for (let one = element; one; one = one.nextSibling) {
        if (one.nodeType === 1) elements.push(one);
        if (one === instance.subTree.anchor || !instance.subTree.anchor || one === instance.subTree.el && !instance.subTree.anchor) break;
      }
      const name = instance.type.name || instance.type.__name || "a component";
      if (elements.length && depth > 0) parts.push({ name, size: size(elements), depth, elements, instance, kind: "Vue" });
      walkNode(instance.subTree, depth);
    };
    for (const element of document.querySelectorAll("*")) {
      if (element.__vue_app__ && element._vnode && element._vnode.component) walk(element._vnode.component, 0);
    }
    return parts;
  };

  const throwInVue = (instance) => {
    let threw = false;
    instance.render = () => { threw = true; throw new Error("seaworthy-check: this part throws"); };
    try { instance.update(); } catch { /* nobody caught it: what is seen of it counts */ }
    return new Promise((done) => setTimeout(() => done(threw), 400));
  };

  const chosen = () => {
    const all = [...reactParts(), ...vueParts()];
    // Of those that draw the same, the innermost: what is around it may be what catches.
    const inner = all.filter((part) => !all.some((other) => other !== part && other.depth > part.depth && other.size === part.size
      && other.elements[0] === part.elements[0]));
    const large = inner.filter((part) => part.size >= Math.max(3, hosts * 0.08)).sort((one, other) => other.size - one.size);
    // What is around everything, or around what catches, is the frame: its own errors have nobody above them.
    const within = (part, other) => other !== part && other.depth > part.depth && part.elements.some((one) => one.contains(other.elements[0]));
    const frames = (part) => holdsBoundary(part.fiber) || part.size >= hosts * 0.85 && large.some((other) => within(part, other));
    const parts = large.filter((part) => !frames(part));
    return (parts.length ? parts : large).slice(0, most);
  };

  const outside = (part) => [...document.querySelectorAll("a[href], button, input:not([type=hidden])")]
    .filter((one) => !part.elements.some((element) => element.contains(one)))
    .map((one) => (one.getAttribute("aria-label") || one.innerText || one.name || one.type || one.localName).trim().slice(0, 80));

  const kinds = () => ({ react: reactRoots().length, vue: [...document.querySelectorAll("*")].filter((one) => one.__vue_app__).length });
  return {
    kinds: kinds(),
    parts: chosen().map((part) => ({ name: part.name, kind: part.kind, share: hosts ? part.size / hosts : 0, outside: outside(part) })),
    throwIn: async (number) => {
      const part = chosen()[number];
      if (!part) return false;
      return part.fiber ? throwInReact(part.fiber) : throwInVue(part.instance);
    },
  };
})()
