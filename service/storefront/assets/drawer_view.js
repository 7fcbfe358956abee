/* What stands in the drawer: from a call and a log of events to nodes. It knows no state. */
(() => {
  const SOURCES = {
    pin: "pinned by the merchandiser", graph: "what goes with it", factors: "taste like theirs",
    popular: "popular", category: "popular in the category", country: "popular in the country",
    segment: "popular in their segment", similar: "looks alike", bought_together: "bought together",
    trending: "trending", recently_viewed: "seen lately", static: "the merchandiser's list",
    explore: "chance, to learn", affinity: "fits their taste", page: "fits the page",
    weight: "by its weight", click_rate: "clicked most",
  };
  const TROUBLES = {
    no_model: "no model is live yet", store_unavailable: "the history could not be read",
    deadline: "time was short", no_candidates: "nothing better was found",
    disabled: "the placement is switched off", not_configured: "there is no such placement",
  };

  const node = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value != null) made.setAttribute(name, value);
    }
    made.append(...children.flat().filter((child) => child != null && child !== false));
    return made;
  };
  const code = (text, attributes) => node("code", attributes, text);
  const ms = (value) => (value == null ? "–" : `${value.toFixed(1)} ms`);
  const picture = (id, size) => node("img", {
    src: `/demo/pictures/${encodeURIComponent(id)}.svg`, alt: "", width: size, height: size,
  });
  const facts = (rows) => node("dl", { class: "facts" }, rows.filter(Boolean).map(
    ([name, value]) => [node("dt", {}, name), node("dd", {}, value)]).flat());

  const why = ({ tier, degraded, rollout }) => {
    const said = [];
    if (!rollout) said.push("No rollout stands on this slot: everybody gets its recipe.");
    else if (rollout.reason === "NO_UNIT")
      said.push("Without an id nobody is in an arm, so this is the control.");
    else if (rollout.variant === "control")
      said.push(`This visitor is outside the share of “${rollout.key}”, and sees the merchandiser's list.`);
    else said.push(`This visitor is in the share of “${rollout.key}”: the slot was chosen for them.`);
    if (rollout && tier === "popular")
      said.push("Nothing is known of them yet, so it is what most people like: click on two or three things and come back.");
    if (degraded) said.push(`A less personal answer stepped in, for ${TROUBLES[degraded] || degraded}.`);
    return said.join(" ");
  };
  const toShare = ({ rollout }) => rollout && node("a", {
    href: `/console/rollouts/${encodeURIComponent(rollout.key)}`, target: "_blank", rel: "noopener",
  }, "Move its share ↗");

  const shownRow = (kind, nameOf) => (shown) => node("tr", {},
    node("td", {}, String(shown.position)),
    node("td", {}, node("span", { class: "thing" },
      kind === "items" && picture(shown.id, 30),
      node("span", {}, shown.title || nameOf(shown.id), node("br"), code(shown.id)))),
    node("td", { title: shown.source }, SOURCES[shown.source] || shown.source,
      shown.because && node("span", { class: "because" },
        picture(shown.because, 20), nameOf(shown.because))),
    node("td", {}, String(+shown.propensity.toPrecision(2))));
  const slateTable = (slate, nameOf) => node("table", {},
    node("caption", {}, "Source and what it follows from; P is the propensity"),
    node("thead", {}, node("tr", {},
      node("th", { scope: "col" }, node("span", { class: "unseen" }, "Position")),
      ["Item", "Source", "P"].map((text) => node("th", { scope: "col" }, text)))),
    node("tbody", {}, (slate.items || slate.banners).map(shownRow(slate.kind, nameOf))));

  const mark = (slate, isShown) => () => {
    const slot = document.querySelector(`[data-endcap-placement="${CSS.escape(slate.id)}"]`);
    if (slot) slot.classList.toggle("is-shown", isShown);
  };
  const slot = (slate, nameOf, folding) => node("details", {
    class: "slot", ...folding(slate.id),
    onmouseenter: mark(slate, true), onmouseleave: mark(slate, false),
    onfocusin: mark(slate, true), onfocusout: mark(slate, false),
  },
  node("summary", {}, node("b", {}, slate.id), node("span", { class: `tier ${slate.tier}` }, slate.tier)),
  node("div", {},
    node("p", { class: "why" }, why(slate), " ", toShare(slate)),
    facts([
      ["variant", slate.rollout ? `${slate.rollout.variant} of ${slate.rollout.key}` : "none"],
      ["reason", slate.rollout ? [slate.rollout.reason, slate.rollout.detail].filter(Boolean).join(" · ") : "–"],
      ["epoch", slate.rollout ? String(slate.rollout.epoch) : "–"],
      ["degraded", slate.degraded || "no"],
      ["exposure_id", code(slate.exposure_id)],
    ]),
    node("br"), slateTable(slate, nameOf)));

  const json = (title, value, folding) => node("details", { class: "slot", ...folding(title) },
    node("summary", {}, node("b", {}, title)),
    node("pre", { tabindex: "0", role: "region", "aria-label": title }, JSON.stringify(value, null, 2)));

  const asked = (call) => {
    const { user } = call.request, answer = call.answer || {};
    const nobody = user.consent === false ? "nobody: there is no consent" : "an anonymous visitor";
    return facts([
      ["Visitor", user.user_id ? `user ${user.user_id}` : nobody],
      user.anonymous_id && ["Browser", code(user.anonymous_id.slice(0, 13))],
      ["Model", answer.model_version ? code(answer.model_version) : "none"],
      ["Decided in", `${ms(answer.took_ms)}, the call took ${ms(call.ms)}`],
    ]);
  };

  const sent = (nameOf) => ({ at, event, placement, verdict }) => node("li", {},
    node("time", {}, new Date(at).toTimeString().slice(0, 8)),
    node("span", {},
      node("b", {}, event.grade || event.event), " ",
      event.item_id ? nameOf(event.item_id) : event.banner_id || placement || "", " ",
      event.exposure_id && code(`…${event.exposure_id.slice(-6)}`, { title: event.exposure_id })),
    node("span", { class: `verdict ${verdict}`, title: event.event_id }, verdict));
  const log = (entries, nameOf, clear) => {
    const count = (verdict) => `${entries.filter((one) => one.verdict === verdict).length} ${verdict}`;
    return [
      node("p", {}, ["accepted", "duplicate", "rejected"].map(count).join(" · "), " ",
        node("button", { type: "button", class: "plain", onclick: clear }, "Clear the list")),
      node("ol", { class: "log" }, entries.map(sent(nameOf))),
    ];
  };

  window.drawerView = { node, asked, slot, json, log };
})();
