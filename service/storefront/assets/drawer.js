/* The drawer: what the page asked, what it was answered and why, and what it told. */
(() => {
  const { demo, drawerView: view } = window, { node } = view;
  const drawer = document.getElementById("drawer"), button = document.getElementById("behind");
  const TIP = "Whatever is changed in the console, a share, a pin, a hidden item, shows here within a second.";

  const names = {};
  const nameOf = (id) => names[id] || id;
  const learnNames = async (slates, entries) => {
    const shown = slates.flatMap(({ items = [] }) => items);
    for (const { id, attributes } of shown) if (attributes.title) names[id] = attributes.title;
    const ids = [...shown.map(({ because }) => because), ...entries.map(({ event }) => event.item_id)];
    const unknown = [...new Set(ids.filter((id) => id && !(id in names)))].slice(0, 100);
    if (!unknown.length) return;
    unknown.forEach((id) => { names[id] = ""; }); // asked once, whatever comes of it
    const query = new URLSearchParams(unknown.map((id) => ["id", id]));
    try { Object.assign(names, await (await fetch(`/demo/names?${query}`)).json()); } catch { return; }
    draw();
  };

  // What was unfolded stays so when it is drawn again.
  const unfolded = new Set(["home_recs", "product_similar", "basket_together"]);
  const folding = (key) => ({
    open: unfolded.has(key),
    ontoggle: ({ target }) => { if (target.open) unfolded.add(key); else unfolded.delete(key); },
  });

  const draw = () => {
    const call = demo.calls[demo.calls.length - 1], entries = [...demo.log].reverse();
    const slates = (call && call.answer && call.answer.placements) || [];
    const failure = call && (call.failed || (call.status >= 400 && call.status));
    replace([
      node("h3", {}, "This page"),
      call ? view.asked(call) : node("p", {}, "Nothing was asked on this page."),
      failure && node("p", { class: "tip" }, `The call failed (${failure}), so the merchandiser's list stays.`),
      node("p", { class: "tip" }, TIP),
      slates.length > 0 && node("h3", {}, "Slots"),
      slates.map((slate) => view.slot(slate, nameOf, folding)),
      call && [
        node("h3", {}, "On the wire"),
        view.json("Request: POST /v1/serve", call.request, folding),
        view.json("Answer", call.answer || call.failed || "…", folding),
      ],
      node("h3", {}, "Events sent"),
      view.log(entries, nameOf, demo.clear),
    ]);
    learnNames(slates, entries);
  };
  const replace = (parts) => {
    const inside = drawer.querySelector(".inside"), { scrollTop } = drawer, { activeElement } = document;
    const focused = inside.contains(activeElement) && activeElement.textContent;
    inside.replaceChildren(...parts.flat().filter(Boolean));
    drawer.scrollTop = scrollTop;
    if (!focused) return;
    const again = [...inside.querySelectorAll("summary, button, pre, a")].find((one) => one.textContent === focused);
    if (again) again.focus({ preventScroll: true });
  };

  const show = (isOpen, takesFocus) => {
    demo.setOpen(isOpen);
    drawer.hidden = !isOpen;
    button.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) draw();
    if (takesFocus) (isOpen ? drawer : button).focus({ preventScroll: true });
  };
  drawer.append(
    node("header", {},
      node("h2", { id: "drawer-title" }, "Behind the page"),
      node("a", { href: "/console", target: "_blank", rel: "noopener" }, "Console ↗"),
      node("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => show(false, true) }, "×")),
    node("div", { class: "inside" }));
  drawer.addEventListener("keydown", ({ key }) => { if (key === "Escape") show(false, true); });
  button.addEventListener("click", () => show(!demo.isOpen(), true));
  button.hidden = false;
  show(demo.isOpen(), false);

  let waiting;
  demo.on(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { if (demo.isOpen()) draw(); }, 30);
  });
})();
