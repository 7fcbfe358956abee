/* The shop's own script: what any shop would write beside endcap.js, and what only a demo needs. */
(() => {
  const set = document.currentScript.dataset;
  const CAME_FROM = "endcap_demo_came_from", VISITOR = "endcap_visitor", HELD = "endcap_demo_visitor:";
  const one = (selector, root = document) => root.querySelector(selector);
  const track = (event) => window.endcap && window.endcap.track(event);
  const remembered = () => { try { return JSON.parse(sessionStorage.getItem(CAME_FROM)) || {}; } catch { return {}; } };
  const number = (text) => (text ? Number(text) : undefined);
  const toast = (text) => {
    const box = one("#toast");
    box.textContent = text;
    box.classList.add("on");
    clearTimeout(toast.timer);
    toast.timer = setTimeout(() => box.classList.remove("on"), 3500);
  };

  // An order is owed to the slate that its item was clicked on: remember which one that was.
  const slates = new WeakMap();
  document.addEventListener("endcap", ({ target: slot, detail: slate }) => {
    slates.set(slot, slate);
    const heading = one("h2", slot.parentElement);
    if (heading && slot.parentElement !== document.body) {
      heading.dataset.title = heading.dataset.title || heading.textContent;
      const tier = slate.tier[0].toUpperCase() + slate.tier.slice(1);
      heading.textContent = heading.dataset[`title${tier}`] || heading.dataset.title;
    }
    const before = slot.dataset.shown, after = (slate.items || slate.banners).map(({ id }) => id).join(" ");
    slot.dataset.shown = after;
    slot.dataset.tier = slate.tier;
    slot.classList.toggle("is-new", before !== undefined && before !== after);
    // Cards are all of one height here, so the slot needs no fixed one.
    setTimeout(() => { Object.assign(slot.style, { height: "", minHeight: "", overflow: "" }); mend(slot); });
  });
  document.addEventListener("click", ({ target }) => {
    const card = target.closest("[data-endcap-id]"), slot = card && card.closest("[data-endcap-placement]");
    const slate = slot && slates.get(slot);
    if (!slate || slate.kind !== "items") return;
    const known = { ...remembered(), [card.dataset.endcapId]: slate.exposure_id };
    try { sessionStorage.setItem(CAME_FROM, JSON.stringify(known)); } catch { /* then no order is owed to it */ }
  }, true);

  // Items of any catalogue have a page and a picture in this shop.
  const mend = (slot) => {
    for (const card of slot.querySelectorAll("a[data-endcap-id]")) {
      const id = encodeURIComponent(card.dataset.endcapId), picture = one("img", card);
      if (slates.get(slot).kind !== "items") continue;
      if (!(card.getAttribute("href") || "").startsWith("/demo/")) card.href = `/demo/items/${id}`;
      if (picture && !picture.getAttribute("src")) picture.src = `/demo/pictures/${id}.svg`;
    }
  };
  document.addEventListener("error", ({ target }) => {
    const card = target.tagName === "IMG" && target.closest("a[href^='/demo/items/']");
    const drawn = card && `/demo/pictures/${card.getAttribute("href").split("/").pop()}.svg`;
    if (drawn && target.getAttribute("src") !== drawn) target.src = drawn;
  }, true);

  const product = one("#product");
  if (product) {
    const { id, price } = product.dataset, exposure_id = remembered()[id];
    track({ event: "view", item_id: id, exposure_id });
    const form = one("#put-in");
    if (form) form.addEventListener("submit", async (event) => {
      event.preventDefault();
      track({ event: "add_to_cart", item_id: id, quantity: 1, price: number(price), exposure_id });
      try {
        const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
        if (!answer.ok) throw new Error(answer.status);
        const count = one("#n-in-basket");
        count.textContent = Number(count.textContent) + 1;
        count.classList.remove("none");
        toast("It is in the basket");
      } catch { form.submit(); }
    });
  }
  const order = one("#order");
  if (order) for (const line of order.querySelectorAll("[data-item]")) {
    const { item, quantity, price } = line.dataset, order_id = order.dataset.id;
    // Named after the order: whoever loads this page again sends it again, and it is stored once.
    track({
      event: "purchase", event_id: `${order_id}-${item}`, order_id, item_id: item,
      quantity: Number(quantity), price: number(price), exposure_id: remembered()[item],
    });
  }

  // Each persona has a browser of their own, or all of them would become one person.
  const fresh = one("[data-fresh]");
  if (fresh) fresh.hidden = false;
  for (const form of document.querySelectorAll("#who form")) form.addEventListener("submit", ({ submitter }) => {
    const next = new FormData(form, submitter).get("user_id").trim();
    try {
      localStorage.setItem(HELD + set.who, localStorage.getItem(VISITOR) || "");
      const held = submitter === fresh ? null : localStorage.getItem(HELD + next);
      if (held) localStorage.setItem(VISITOR, held); else localStorage.removeItem(VISITOR);
      [VISITOR, CAME_FROM].forEach((name) => sessionStorage.removeItem(name));
    } catch { /* without storage everybody is new anyway */ }
  });
  const who = one("#who");
  document.addEventListener("click", ({ target }) => { if (!who.contains(target)) who.open = false; });
  who.addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && who.open) { who.open = false; one("summary", who).focus(); }
  });

  // The page is chosen again when somebody changes what it shows, or when it comes back from the browser's cache.
  const again = () => {
    for (const slot of document.querySelectorAll("[data-endcap-asked]")) {
      const copy = slot.cloneNode(true); // without the listeners of the slate before
      copy.removeAttribute("data-endcap-asked");
      copy.removeAttribute("style");
      slot.replaceWith(copy);
    }
    if (window.endcap) window.endcap.serve();
  };
  let stream, newest = set.newest;
  const follow = () => {
    if (stream) stream.close();
    stream = new EventSource("/demo/changes");
    stream.onmessage = ({ data }) => {
      const { etag } = JSON.parse(data);
      if (etag === newest) return;
      newest = etag;
      toast("Something was changed: this page was chosen again");
      setTimeout(again, 200); // another worker, which may answer, knows of it a moment later
    };
  };
  addEventListener("pagehide", () => stream && stream.close());
  addEventListener("pageshow", ({ persisted }) => { follow(); if (persisted) again(); });
})();
