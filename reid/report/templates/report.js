// The lists of the evaluation page: order, filters, the viewer. What users named is only ever set as text.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const rows = byId("rows"), more = byId("more"), status = byId("status"), viewer = byId("viewer");
  const controls = { order: byId("order"), camera: byId("camera"), pid: byId("pid"), result: byId("result") };
  const STEP = 25;
  let chosen = [];  // queries that pass the filters, in order
  let drawn = 0;    // so many of them are in the document
  let seen = null;  // what the viewer shows: { query, place }, place 0 is the query itself

  const percent = (fraction) => (fraction === null ? "–" : (100 * fraction).toFixed(1) + "\u00a0%");
  const count = (number, one, many) => number.toLocaleString("en") + "\u00a0" + (number === 1 ? one : many);

  function element(tag, className, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children);
    return made;
  }

  // A candidate of a query as one object; the last may be the first match behind the others.
  function candidates(query) {
    const { gallery, distance, right, same } = query.tiles;
    const list = gallery.map((at, i) => ({
      at, rank: i + 1, distance: distance[i], right: right[i] === "1", same: same ? same[i] : null,
    }));
    if (query.later) list.push({ ...query.later, at: query.later.gallery, right: true, later: true });
    return list;
  }

  // In a page of classes an identity has a name, and no camera is told.
  const className = (side) => data.classes[side.pid];
  const short = (side) => data.classes ? className(side) : `id ${side.pid}`;
  const identity = (side) => data.classes ? className(side) : `Identity ${side.pid}`;
  const describe = (side) => data.classes ? className(side) : `identity ${side.pid}, camera ${side.camera}`;
  const where = (side) => data.classes ? "" : `c${side.camera}`;
  const galleryImage = (at) => ({
    pid: data.gallery.pid[at], camera: data.gallery.camera[at], name: data.gallery.name[at], picture: data.gallery.picture[at],
  });

  function picture(position, words) {
    const image = element("img");
    image.src = `data:${data.mime};base64,${data.pictures[position]}`;
    image.alt = words;
    image.decoding = "async";
    return image;
  }

  // Fills a frame: the picture or a plate with the identity, and the verdict as colour, shape and word.
  function fill(frame, side, kind, right) {
    frame.classList.remove("is-right", "is-wrong");
    if (side.picture >= 0) frame.replaceChildren(picture(side.picture, `${kind}: ${describe(side)}`));
    else frame.replaceChildren(element("span", "", short(side)));
    return right === undefined ? frame : verdict(frame, right);
  }

  function verdict(frame, right) {
    frame.classList.add(right ? "is-right" : "is-wrong");
    const mark = element("span", "mark", right ? "✓" : "✗");
    mark.setAttribute("aria-hidden", "true");
    frame.append(mark, element("span", "hidden", right ? "right" : "wrong"));
    return frame;
  }

  function tile(query, place, frame, words) {
    const button = element("button", "tile", frame, words);
    button.type = "button";
    button.tabIndex = place === 0 ? 0 : -1;  // one stop for each query; arrow keys go along it
    button.dataset.place = place;
    button.addEventListener("click", () => open(query, place));
    return button;
  }

  function drawRow(query) {
    const head = element("div", "row-head", element("h3", "", data.classes ? className(query) : `Identity ${query.pid}, camera ${query.camera}`));
    if (query.matches) {
      head.append(
        element("span", "ap", `AP ${percent(query.ap)}`),
        element("span", "small muted", `${count(query.matches, "match", "matches")}, the first at rank ${query.first.toLocaleString("en")}`),
      );
    } else {
      head.append(element("span", "ap", "not scored: no match in the gallery"));
    }
    head.append(element("span", "name small muted", query.name));
    const own = element("span", "words", element("b", "", "query"), element("br"), where(query));
    const strip = element("div", "strip", tile(query, 0, fill(element("span", "picture is-query"), query, "Query"), own));
    const list = element("ol", "tiles");
    candidates(query).forEach((found, i) => {
      const side = galleryImage(found.at);
      const words = element("span", "words", element("b", "", found.rank.toLocaleString("en")), " " + where(side), element("br"), found.distance.toFixed(3), ...(data.classes ? [element("br"), className(side)] : []));
      const frame = fill(element("span", "picture"), side, "Gallery", found.right);
      list.append(element("li", found.later ? "later" : "", tile(query, i + 1, frame, words)));
    });
    strip.append(list);
    const row = element("li", "row", head, strip);
    row.addEventListener("keydown", along);
    return row;
  }

  function along(event) {
    const tiles = [...event.currentTarget.querySelectorAll(".tile")];
    const at = tiles.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tiles.length - 1 }[event.key];
    if (at < 0 || to === undefined || !tiles[to]) return;
    event.preventDefault();
    tiles[at].tabIndex = -1;
    tiles[to].tabIndex = 0;
    tiles[to].focus();
  }

  const ORDERS = {
    worst: (a, b) => (a.ap ?? 2) - (b.ap ?? 2) || a.row - b.row,  // not scored: last in either order
    best: (a, b) => (b.ap ?? -1) - (a.ap ?? -1) || a.row - b.row,
    pid: (a, b) => a.pid - b.pid || a.row - b.row,
    row: (a, b) => a.row - b.row,
  };
  const RESULTS = {
    missed: (query) => query.matches && query.first > 1,
    hit: (query) => query.first === 1,
    unscored: (query) => !query.matches,
  };

  function choose() {
    const { order, camera, pid, result } = controls;
    const wanted = pid.value.trim();
    chosen = data.queries.filter((query) =>
      (!camera.value || String(query.camera) === camera.value) &&
      (!wanted || (data.classes ? className(query).toLowerCase().includes(wanted.toLowerCase()) : String(query.pid) === wanted.replace(/^0+(?=\d)/, ""))) &&
      (!result.value || RESULTS[result.value](query)));
    chosen.sort(ORDERS[order.value]);
    rows.replaceChildren();
    drawn = 0;
    draw();
  }

  function draw() {
    rows.append(...chosen.slice(drawn, drawn + STEP).map(drawRow));
    drawn = Math.min(drawn + STEP, chosen.length);
    const order = controls.order.selectedOptions[0].textContent.trim();
    const narrowed = chosen.length < data.queries.length ? `, of ${data.queries.length.toLocaleString("en")} listed` : "";
    status.textContent = chosen.length
      ? `${drawn.toLocaleString("en")} of ${count(chosen.length, "query", "queries")} shown, ${order}${narrowed}.`
      : "No query fits these filters.";
    more.hidden = drawn === chosen.length;
    more.textContent = `Show ${Math.min(STEP, chosen.length - drawn)} more`;
  }

  function open(query, place) {
    seen = { query, place };
    const list = candidates(query);
    const found = list[place - 1];
    byId("viewer-title").textContent = `${identity(query)}, ${query.matches ? `AP ${percent(query.ap)}` : "not scored"}`;
    fill(byId("viewer-query"), query, "Query");
    byId("viewer-query-words").replaceChildren(element("strong", "", "Query"), element("br"), describe(query), element("br"), query.name);
    const other = byId("viewer-other").parentElement;
    other.hidden = !found;
    if (found) {
      const side = galleryImage(found.at);
      fill(byId("viewer-other"), side, "Gallery", found.right);
      const words = [element("strong", "", `Rank ${found.rank.toLocaleString("en")}: ${found.right ? "right" : "wrong"}`), element("br"), describe(side),
        element("br"), `distance ${found.distance.toFixed(4)}`];
      if (found.same !== null) words.push(element("br"), `P(same ${data.words.one}) ${found.same}\u00a0%`);
      byId("viewer-other-words").replaceChildren(...words, element("br"), side.name);
    }
    byId("previous").disabled = place === 0;
    byId("next").disabled = place === list.length;
    if (!viewer.open) viewer.showModal();
  }

  function move(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    turn(...step);
  }

  function turn(queries, places) {
    const query = chosen[chosen.indexOf(seen.query) + queries];
    if (!query) return;
    const last = candidates(query).length;
    open(query, Math.max(0, Math.min(last, seen.place + places)));
  }

  // The reader goes on from what was seen last, also when that was not yet drawn.
  function back() {
    const at = chosen.indexOf(seen.query);
    while (drawn <= at) draw();
    rows.children[at].querySelector(`[data-place="${seen.place}"]`).focus();
  }

  // The table of classes: a click on a heading sorts by it, another turns the order round.
  function sortable(table) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const value = heading.classList.contains("text")
        ? (row) => row.cells[column].textContent
        : (row) => Number(row.cells[column].dataset.value);
      const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
      const button = element("button", "sort", ...heading.childNodes);
      button.type = "button";
      button.addEventListener("click", () => {
        const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        const body = table.tBodies[0];
        body.append(...[...body.rows].sort((a, b) => sign * compare(value(a), value(b))));
      });
      heading.replaceChildren(button);
    });
  }

  document.querySelectorAll("table.sortable").forEach(sortable);
  for (const frame of document.querySelectorAll("[data-picture]")) {
    if (frame.dataset.picture >= 0) frame.replaceChildren(picture(frame.dataset.picture, frame.dataset.words));
    if (!frame.classList.contains("is-query")) verdict(frame, frame.classList.contains("is-right"));
  }
  const cameras = [...new Set(data.queries.map((query) => query.camera))].sort((a, b) => a - b);
  controls.camera.append(...cameras.map((camera) => new Option(camera, camera)));
  document.documentElement.style.setProperty("--aspect", data.aspect);
  byId("controls").addEventListener("input", choose);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("controls").addEventListener("reset", () => setTimeout(choose));
  more.addEventListener("click", () => {
    const first = drawn;
    draw();
    rows.children[first].querySelector(".tile").focus();
  });
  viewer.addEventListener("keydown", move);
  viewer.addEventListener("close", back);
  viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());
  byId("close").addEventListener("click", () => viewer.close());
  byId("previous").addEventListener("click", () => turn(0, -1));
  byId("next").addEventListener("click", () => turn(0, 1));
  choose();
})();
