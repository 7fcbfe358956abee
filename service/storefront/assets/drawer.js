/* The drawer: what the page asked, what it was answered and why, and what it told. */
(() => {
  const { demo } = window, drawer = document.getElementById("drawer"), button = document.getElementById("behind");
  const node = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes))
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value != null) made.setAttribute(name, value);
    made.append(...children.flat().filter((child) => child != null && child !== false));
    return made;
  };
  const names = {};
  const nameOf = (id) => names[id] || id;
  const picture = (id, size) => node("img", { src: `/demo/pictures/${encodeURIComponent(id)}.svg`, alt: "", width: size, height: size });
  const ms = (value) => (value == null ? "–" : `${value.toFixed(1)} ms`);

  const why = ({ tier, degraded, rollout, kind }) => {
    const lower = { no_model: "no model is live yet", store_unavailable: "the history could not be read", deadline: "time was short", no_candidates: "nothing better was found" };
    const parts = [];
    if (!rollout) parts.push("No rollout stands on this slot: everybody gets its recipe.");
    else if (rollout.reason === "NO_UNIT") parts.push("Without an id nobody is in an arm, so this is the control.");
    else if (rollout.variant === "control") parts.push(`This visitor is outside the share of “${rollout.key}”, and sees the merchandiser's list.`);
    else parts.push(`This visitor is in the share of “${rollout.key}”: the slot was chosen for them.`);
    if (rollout && tier === "popular") parts.push("Nothing is known of them yet, so it is what most people like. Click on two or three things and come back.");
    if (degraded) parts.push(`A less personal answer stepped in, for ${lower[degraded] || degraded}.`);
    return parts.join(" ");
  };
  const SOURCES = { graph: "what goes with it", factors: "taste like theirs", static: "the merchandiser's list", popular: "popular", similar: "looks alike", bought_together: "bought together", trending: "trending", category: "popular in the category", country: "popular in the country", segment: "popular in their segment", explore: "chance, to learn", recently_viewed: "seen lately", popularity: "popular" };

  const slotTable = (slate) => node("table", {},
    node("caption", {}, "Source and what it follows from; P is the propensity"),
    node("thead", {}, node("tr", {}, ...["", "Item", "Source", "P"].map((text) => node("th", { scope: "col" }, text || node("span", { class: "unseen" }, "Position"))))),
    node("tbody", {}, (slate.items || slate.banners).map((shown) => node("tr", {},
      node("td", {}, String(shown.position)),
      node("td", {}, node("span", { class: "thing" },
        slate.kind === "items" ? picture(shown.id, 30) : null,
        node("span", {}, shown.title || (shown.attributes || {}).title || shown.id, node("br"), node("code", {}, shown.id)))),
      node("td", { title: shown.source }, SOURCES[shown.source] || shown.source,
        shown.because && node("span", { class: "because" }, picture(shown.because, 20), nameOf(shown.because))),
      node("td", {}, String(+shown.propensity.toPrecision(2)))))));
  const opened = new Set();
  const remember = (key) => ({ open: opened.has(key), ontoggle: ({ target }) => { if (target.open) opened.add(key); else opened.delete(key); } });
  const slotCard = (slate) => {
    const { rollout } = slate;
    const mark = (is) => () => { const slot = document.querySelector(`[data-endcap-placement="${CSS.escape(slate.id)}"]`); if (slot) slot.classList.toggle("is-shown", is); };
    return node("details", { class: "slot", ...remember(slate.id), onmouseenter: mark(true), onmouseleave: mark(false), onfocusin: mark(true), onfocusout: mark(false) },
      node("summary", {}, node("b", {}, slate.id), node("span", { class: `tier ${slate.tier}` }, slate.tier)),
      node("div", {},
        node("p", { class: "why" }, why(slate), " ", rollout && node("a", { href: `/console/rollouts/${encodeURIComponent(rollout.key)}`, target: "_blank", rel: "noopener" }, "Move its share ↗")),
        node("dl", { class: "facts" },
          node("dt", {}, "variant"), node("dd", {}, rollout ? `${rollout.variant} of ${rollout.key}` : "none"),
          node("dt", {}, "reason"), node("dd", {}, rollout ? [rollout.reason, rollout.detail].filter(Boolean).join(" · ") : "–"),
          node("dt", {}, "epoch"), node("dd", {}, rollout ? String(rollout.epoch) : "–"),
          node("dt", {}, "degraded"), node("dd", {}, slate.degraded || "no"),
          node("dt", {}, "exposure_id"), node("dd", {}, node("code", {}, slate.exposure_id))),
        node("br"), slotTable(slate)));
  };
  const json = (title, key, value) => node("details", { class: "slot", ...remember(key) },
    node("summary", {}, node("b", {}, title)),
    node("pre", { tabindex: "0", role: "region", "aria-label": title }, JSON.stringify(value, null, 2)));
  const words = ({ event: { event, grade, item_id, banner_id, exposure_id }, placement }) =>
    [node("b", {}, grade || event), " ", item_id ? nameOf(item_id) : banner_id || placement || "", exposure_id ? [" ", node("code", { title: exposure_id }, `…${exposure_id.slice(-6)}`)] : null].flat();
  const clock = (at) => new Date(at).toTimeString().slice(0, 8);

  const facts = (call) => {
    const { user } = call.request, answer = call.answer || {};
    const about = user.user_id ? `user ${user.user_id}` : user.consent === false ? "nobody: there is no consent" : "an anonymous visitor";
    return node("dl", { class: "facts" },
      node("dt", {}, "Visitor"), node("dd", {}, about),
      user.anonymous_id && [node("dt", {}, "Browser"), node("dd", {}, node("code", {}, user.anonymous_id.slice(0, 13)))],
      node("dt", {}, "Model"), node("dd", {}, answer.model_version ? node("code", {}, answer.model_version) : "none"),
      node("dt", {}, "Decided in"), node("dd", {}, `${ms(answer.took_ms)}, the call took ${ms(call.ms)}`));
  };
  const draw = () => {
    const call = demo.calls[demo.calls.length - 1], log = [...demo.log].reverse();
    const slates = (call && call.answer && call.answer.placements) || [];
    const counts = ["accepted", "duplicate", "rejected"].map((verdict) => `${log.filter((one) => one.verdict === verdict).length} ${verdict}`);
    const body = [
      node("h3", {}, "This page"),
      call ? facts(call) : node("p", {}, "Nothing was asked on this page."),
      call && (call.failed || call.status >= 400) && node("p", { class: "tip" }, `The call failed (${call.failed || call.status}), so the merchandiser's list stays.`),
      node("p", { class: "tip" }, "Whatever is changed in the console, a share, a pin, a hidden item, shows here within a second."),
      slates.length > 0 && node("h3", {}, "Slots"),
      slates.map(slotCard),
      call && node("h3", {}, "On the wire"),
      call && json("Request: POST /v1/serve", "request", call.request),
      call && json("Answer", "answer", call.answer || call.failed || "…"),
      node("h3", {}, "Events sent"),
      node("p", {}, counts.join(" · "), " ", node("button", { type: "button", class: "plain", onclick: demo.clear }, "Clear the list")),
      node("ol", { class: "log" }, log.map((one) => node("li", {},
        node("time", {}, clock(one.at)), node("span", {}, words(one)),
        node("span", { class: `verdict ${one.verdict}`, title: one.event_id }, one.verdict)))),
    ];
    const inside = drawer.querySelector(".inside"), focused = inside.contains(document.activeElement) && document.activeElement.textContent;
    const { scrollTop } = drawer;
    inside.replaceChildren(...body.flat().filter(Boolean));
    if (focused) for (const one of inside.querySelectorAll("summary, button, pre")) if (one.textContent === focused) { one.focus({ preventScroll: true }); break; }
    drawer.scrollTop = scrollTop;
    learn(slates, log);
  };
  const learn = async (slates, log) => {
    const ids = [...slates.flatMap(({ items = [] }) => items.map(({ because }) => because)), ...log.map(({ event }) => event.item_id)];
    for (const { items = [] } of slates) for (const { id, attributes } of items) if (attributes.title) names[id] = attributes.title;
    const missing = [...new Set(ids.filter((id) => id && !(id in names)))].slice(0, 100);
    if (!missing.length) return;
    missing.forEach((id) => { names[id] = ""; });
    try { Object.assign(names, await (await fetch(`/demo/names?${new URLSearchParams(missing.map((id) => ["id", id]))}`)).json()); } catch { return; }
    draw();
  };
  let first = true, waiting;
  const later = () => { clearTimeout(waiting); waiting = setTimeout(() => { if (demo.isOpen()) draw(); }, 30); };
  const show = (isOpen, focus) => {
    demo.setOpen(isOpen);
    drawer.hidden = !isOpen;
    button.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) { draw(); if (focus) drawer.focus({ preventScroll: true }); } else if (focus) button.focus();
  };
  drawer.append(
    node("header", {}, node("h2", { id: "drawer-title" }, "Behind the page"),
      node("a", { href: "/console", target: "_blank", rel: "noopener" }, "Console ↗"),
      node("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => show(false, true) }, "×")),
    node("div", { class: "inside" }));
  drawer.addEventListener("keydown", ({ key }) => { if (key === "Escape") show(false, true); });
  button.hidden = false;
  button.addEventListener("click", () => show(!demo.isOpen(), true));
  opened.add("home_recs").add("product_similar").add("basket_together");
  show(demo.isOpen(), false);
  demo.on(() => { if (first) first = false; else later(); });
})();
