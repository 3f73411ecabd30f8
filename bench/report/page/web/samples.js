
/* The sample browser: search, filters, and one prompt's responses side by side. */
const EVERY = "";
const NONE = "\u2013";
const box = document.getElementById("samples");

async function unpacked() {
  const bytes = Uint8Array.from(atob(document.getElementById("samples-packed").textContent), (one) => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const lines = (await new Response(stream).text()).split("\n").filter(Boolean);
  const prompts = lines.map((line) => JSON.parse(line));
  for (const one of prompts) {
    one.title = one.chat.at(-1)[1];
    one.place = `${one.task}/${one.id}`;
    const words = [...one.chat.map((turn) => turn[1]), ...one.answers.map((answer) => answer.text), ...one.answers.flatMap((answer) => Object.values(answer.said)), ...one.ballots.map((ballot) => ballot[8])];
    one.text = [one.id, ...words].join("\n").toLowerCase();
  }
  return prompts.sort((a, b) => a.task.localeCompare(b.task) || a.kind.localeCompare(b.kind) || a.id.localeCompare(b.id, "en", { numeric: true }));
}

function browser(prompts) {
  const form = box.querySelector("form"), list = box.querySelector("[role=listbox]"), sheet = box.querySelector(".sample");
  const methods = JSON.parse(box.dataset.methods), incidental = new Set(JSON.parse(box.dataset.incidental));
  const value = (name) => form.elements[name]?.value ?? "";
  let found = [], at = 0;

  /* What is chosen. */
  const shownMethods = () => (value("right") === EVERY ? [value("left"), ...methods.filter((one) => one !== value("left"))] : [...new Set([value("left"), value("right")])]);
  const answersOf = (one) => one.answers.filter((answer) => answer.r === Number(value("seed")));
  const ballotsOf = (one) => {
    const shown = shownMethods();
    return one.ballots.filter(([, m, versus, run]) => run === Number(value("seed")) && shown.includes(m) && shown.includes(versus));
  };

  /* Preferences for the left one, mean over orders, one per judge, pair and draw in which it stood. */
  function preferences(one) {
    const cells = new Map();
    for (const [judge, m, versus, , draw, , preference] of ballotsOf(one)) {
      if (preference === null || ![m, versus].includes(value("left"))) continue;
      const key = JSON.stringify([judge, m, versus, draw]);
      cells.set(key, [...(cells.get(key) ?? []), m === value("left") ? preference : 1 - preference]);
    }
    return [...cells.values()];
  }
  const mean = (values) => values.reduce((sum, one) => sum + one, 0) / values.length;
  const side = (one) => {
    const values = preferences(one).map(mean);
    return values.length ? Math.sign(mean(values) - 0.5) : null;
  };
  function scoresDiffer(one) {
    const seen = new Map();
    for (const answer of answersOf(one).filter((each) => shownMethods().includes(each.m))) {
      for (const [name, score] of Object.entries(answer.scores)) {
        if (score === NONE || incidental.has(name)) continue;
        const key = JSON.stringify([answer.d, name]);
        if (seen.has(key) && seen.get(key) !== score) return true;
        seen.set(key, score);
      }
    }
    return false;
  }
  const FILTERS = {
    all: () => true,
    disagree: (one) => preferences(one).some((values) => mean(values) !== 0.5) || scoresDiffer(one),
    left: (one) => side(one) > 0,
    right: (one) => side(one) !== null && side(one) < 0,
    orders: (one) => preferences(one).some((values) => values.some((each) => each > 0.5) && values.some((each) => each < 0.5)),
    same: (one) => new Set(answersOf(one).filter((each) => shownMethods().includes(each.m)).map((each) => each.text)).size === 1,
    unsupported: (one) => answersOf(one).some((each) => shownMethods().includes(each.m) && each.claims.some((claim) => claim[2] === "not_supported")),
  };

  function search() {
    const before = found[at]?.place, words = value("search").toLowerCase().split(/\s+/).filter(Boolean);
    found = prompts.filter((one) =>
      (!value("task") || one.task === value("task")) && (!value("kind") || one.kind === value("kind")) &&
      words.every((word) => one.text.includes(word)) && FILTERS[value("show")](one));
    list.replaceChildren(...found.map(entry));
    box.querySelector(".count").textContent = `${found.length} of ${prompts.length} prompts`;
    go(Math.max(0, found.findIndex((one) => one.place === before)));
  }

  function entry(one, place) {
    const won = side(one);
    const right = value("right") === EVERY ? "other" : value("right");
    const mark = won === null ? "" : won > 0 ? value("left") : won < 0 ? right : "tie";
    const made = node("li", { role: "option", id: `prompt-${place}`, "aria-selected": "false" },
      node("span", {}, ...readable(one.title)),
      node("span", { class: `won ${won > 0 ? "left" : won < 0 ? "right" : ""}`, title: mark && mark !== "tie" ? `${mark} preferred` : mark }, ...readable(mark)));
    made.addEventListener("click", () => { go(place); list.focus({ preventScroll: true }); });
    return made;
  }

  function go(place) {
    list.children[at]?.setAttribute("aria-selected", "false");
    at = Math.max(0, Math.min(place, found.length - 1));
    const chosen = list.children[at];
    if (!chosen) {
      list.removeAttribute("aria-activedescendant");
      sheet.replaceChildren(node("p", { class: "empty" }, "No prompt is like that. Take a filter away."));
      return;
    }
    chosen.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", chosen.id);
    list.scrollTop = Math.min(chosen.offsetTop - list.offsetTop, Math.max(list.scrollTop, chosen.offsetTop - list.offsetTop + chosen.offsetHeight - list.clientHeight));
    show(found[at]);
  }

  function show(one) {
    const draws = [...new Set(answersOf(one).map((answer) => answer.d))].sort((a, b) => a - b);
    sheet.replaceChildren(steps(one), ...one.chat.map(([role, text]) => node("p", { class: "turn plain" }, ...(one.chat.length > 1 ? [node("small", {}, role)] : []), ...readable(text))),
      ...draws.flatMap((draw) => [...(draws.length > 1 ? [node("h5", {}, `Draw ${draw}`)] : []), answers(one, draw), verdicts(one, draw), scores(one, draw)]));
    sheet.scrollTop = 0;
  }

  function steps(one) {
    const before = node("button", { type: "button", "aria-label": "Previous prompt" }, "\u2190");
    const after = node("button", { type: "button", "aria-label": "Next prompt" }, "\u2192");
    before.disabled = at === 0;
    after.disabled = at === found.length - 1;
    before.addEventListener("click", () => { go(at - 1); sheet.querySelector(".step button")?.focus(); });
    after.addEventListener("click", () => { go(at + 1); sheet.querySelectorAll(".step button")[1]?.focus(); });
    return node("div", { class: "step" }, node("b", {}, ...readable(`${one.id} \u00b7 ${one.kind} \u00b7 ${one.task} \u00b7 seed ${value("seed")}`)), before, node("span", {}, `${at + 1} / ${found.length}`), after);
  }

  function answers(one, draw) {
    const ours = shownMethods().map((m) => answersOf(one).find((each) => each.m === m && each.d === draw));
    const there = ours.filter(Boolean), words = there.map((answer) => wordsOf(answer.text));
    const different = there.map(() => []);
    if (there.length > 1 && there[0].m === value("left")) {
      there.slice(1).forEach((answer, index) => {
        const found = differing(words[0], words[index + 1]);
        if (found === null) return;
        different[index + 1] = stretches(words[index + 1], found[1]);
        if (there.length === 2) different[0] = stretches(words[0], found[0]);
      });
    }
    return node("div", { class: "answers" }, ...there.map((answer, index) => {
      const which = there.length > 2 ? (index ? "" : "left") : ["left", "right"][index];
      const note = answer.end === "end" ? "" : `cut off: ${answer.end}`;
      const text = answer.text.trim() ? marked(answer.text, different[index], answer.claims) : [node("span", { class: "empty" }, "(empty)")];
      return node("div", { class: `answer ${which}` }, node("h4", {}, node("span", {}, ...readable(answer.m)), node("small", {}, note)),
        node("div", { class: "plain", dir: "auto" }, ...text), ...claims(answer));
    }));
  }

  function claims(answer) {
    if (!answer.claims.length) return [];
    return [node("ul", { class: "claims" }, ...answer.claims.map(([, , label, text, evidence]) =>
      node("li", {}, node("span", { class: `label ${label}` }, label.replace("_", " ")), " ", ...readable(text), ...(evidence ? [node("small", {}, ...readable(evidence))] : []))))];
  }

  function verdicts(one, draw) {
    const cells = new Map();
    for (const ballot of ballotsOf(one).filter((each) => each[4] === draw)) {
      const key = JSON.stringify(ballot.slice(0, 3));
      cells.set(key, { ...cells.get(key), [ballot[5]]: ballot });
    }
    if (!cells.size) return node("p", { class: "empty" }, "No judge compared these responses.");
    const rows = [...cells].map(([key, orders]) => {
      const [judge, m, versus] = JSON.parse(key), values = Object.values(orders).map((ballot) => ballot[6]).filter((each) => each !== null);
      const said = values.length ? (mean(values) === 0.5 ? "tie" : mean(values) > 0.5 ? m : versus) : "no usable verdict";
      return node("tr", {}, ...[judge, `${m} vs ${versus}`].map((text) => node("td", {}, ...readable(text))), ballotCell(orders.first), ballotCell(orders.second), node("td", {}, ...readable(said)));
    });
    return table(["judge", "pair", "shown first", "shown second", "preferred"], rows, "Verdicts: preference for the first-named of the pair, 0 to 1, when shown first and second");
  }

  function ballotCell(ballot) {
    if (!ballot) return node("td", {}, NONE);
    const [, , , , , , preference, status, text] = ballot;
    return node("td", { class: "says" }, preference === null ? status : preference.toFixed(2), ...(text ? [node("span", { class: "words plain" }, ...readable(text))] : []));
  }

  function scores(one, draw) {
    const there = shownMethods().map((m) => answersOf(one).find((each) => each.m === m && each.d === draw)).filter(Boolean);
    const names = [...new Set(there.flatMap((answer) => Object.keys(answer.scores)))];
    if (!names.length) return "";
    const rows = names.map((name) => {
      const values = there.map((answer) => answer.scores[name] ?? NONE), differ = new Set(values).size > 1;
      const said = there.map((answer) => answer.said[name]).map((text) => (text ? [node("span", { class: "words plain" }, ...readable(text))] : []));
      return node("tr", {}, node("td", {}, ...readable(name)), ...values.map((each, place) => node("td", { class: differ ? "r differ" : "r" }, ...readable(each), ...said[place])));
    });
    return table(["score", ...there.map((answer) => answer.m)], rows, "Scores");
  }

  function table(columns, rows, title) {
    return node("div", {}, node("h5", {}, title), node("div", { class: "scroll" }, node("table", {},
      node("thead", {}, node("tr", {}, ...columns.map((name, place) => node("th", { scope: "col", class: title === "Scores" && place ? "r" : "" }, ...readable(name))))), node("tbody", {}, ...rows))));
  }

  /* The address keeps what is shown, so that a link leads to one prompt. */
  const KEPT = ["left", "right", "seed"];
  function remember() {
    if (!found[at]) return;
    const address = new URLSearchParams([["prompt", found[at].place], ...KEPT.map((name) => [name, value(name)])]);
    history.replaceState(null, "", `#${address}`);
  }
  function recall() {
    const address = new URLSearchParams(location.hash.slice(1));
    for (const name of KEPT) {
      const wanted = address.get(name), choice = form.elements[name];
      if (wanted !== null && [...choice.options].some((one) => one.value === wanted)) choice.value = wanted;
    }
    return address.get("prompt");
  }

  [form.elements.left.value, form.elements.right.value] = JSON.parse(box.dataset.pair);
  const wanted = recall();
  for (const part of box.querySelectorAll("[hidden]")) part.hidden = false;
  box.querySelector(".waiting").remove();
  search();
  const linked = found.findIndex((one) => one.place === wanted);
  if (linked >= 0) { go(linked); box.scrollIntoView(); }

  const act = (place) => { go(place); remember(); };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { search(); remember(); });
  list.addEventListener("click", remember);
  sheet.addEventListener("click", (event) => { if (event.target.closest("button")) remember(); });
  list.addEventListener("keydown", (event) => {
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: found.length - 1, PageDown: at + 10, PageUp: at - 10 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    act(to);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "/") { event.preventDefault(); form.elements.search.focus(); }
    else if (event.key === "j" || event.key === "k") { act(at + (event.key === "j" ? 1 : -1)); box.querySelector(".browse").scrollIntoView({ block: "nearest" }); }
  });
}

if (box) {
  unpacked().then(browser, (error) => {
    box.querySelector(".waiting").textContent = `This browser cannot unpack the responses (${error.message}). bench show shows them in a terminal.`;
  });
}
