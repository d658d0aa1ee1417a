"use strict";
/*
 * The page of `skep-vm verify --trace`: the trace (docs/reference/trace.md) as a model, what is
 * selected, and the panes that are text: head, rejection, state. trace_lists.js has the long lists,
 * trace_graph.js the graph. An address like #insn=12&visit=2&tab=tree selects when it opens, and
 * &click=14&key=ArrowRight does then as a reader would.
 */
const T = JSON.parse(document.getElementById("trace").textContent);
const byId = (id) => document.getElementById(id);
const PER_FRAME = 75, REGISTERS = 11, VISITS_SHOWN = 200;

/* An element with a class, a text or children. */
function make(tag, className, ...children) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children);
    return element;
}

/* ---- model ---- */
const model = {
    indexOf: new Map(),       // pc -> index in T.insns
    visits: [],               // of each instruction: [path, step of the path] that execute it
    stateAt: new Map(),       // "path:step" -> number of the state kept there
    states: new Map(),        // number -> state
    causes: new Map(),        // pc -> cause
    children: [],             // of each path
    failing: -1,              // path that is rejected
};

function buildModel() {
    T.insns.forEach((insn, index) => model.indexOf.set(insn.pc, index));
    model.visits = T.insns.map(() => []);
    T.paths.forEach((path, p) => {
        model.children.push([]);
        if (path.parent >= 0) model.children[path.parent].push(p);
        if (path.end === "rejected") model.failing = p;
        for (let k = 0; k < path.pcs.length && k < path.steps; k++)
            model.visits[model.indexOf.get(path.pcs[k])].push([p, k]);
    });
    for (const state of T.states) {
        model.states.set(state.number, state);
        model.stateAt.set(`${state.path}:${state.step}`, state.number);
    }
    if (T.rejection) for (const cause of T.rejection.causes) model.causes.set(cause.pc, cause);
}

/* Where the whole path that p ends has its step of this number. */
function placeOf(p, step) {
    while (p >= 0 && T.paths[p].start > step) p = T.paths[p].parent;
    return p < 0 ? null : { p, k: step - T.paths[p].start };
}

/* Cell -> index of its value, before step k of path p. */
function cellsAt(p, k) {
    const cells = new Map();
    for (let i = 0; i <= k && i < T.paths[p].changes.length; i++) {
        const changes = T.paths[p].changes[i];
        for (let n = 0; n < changes.length; n += 2) {
            if (changes[n + 1]) cells.set(changes[n], changes[n + 1]);
            else cells.delete(changes[n]);
        }
    }
    return cells;
}

function cellName(cell) {
    const n = cell % PER_FRAME;
    return n < REGISTERS ? `R${n}` : `fp-${8 * (n - REGISTERS + 1)}`;
}

function functionOf(pc) {
    let found = T.functions[0];
    for (const f of T.functions) if (f.pc <= pc) found = f;
    return found;
}

/* ---- what is selected ---- */
const selected = { insn: 0, p: -1, k: 0, tab: "graph" };
const listeners = [];

function pathOf(p) {
    return p >= 0 ? T.paths[p] : null;
}

/* Selects step k of path p. */
function goTo(p, k) {
    const path = T.paths[p];
    if (!path || k < 0 || k >= path.pcs.length) return;
    selected.p = p;
    selected.k = k;
    selected.insn = model.indexOf.get(path.pcs[k]);
    changed();
}

/* Selects an instruction, and its visit on the path that is selected, else its last one. */
function pickInsn(index, visit) {
    const visits = model.visits[index];
    selected.insn = index;
    selected.p = -1;
    if (visits.length) {
        const last = visits.findLastIndex(([p]) => p === model.failing);
        [selected.p, selected.k] = visits[visit ?? (last >= 0 ? last : 0)] ?? visits[0];
    }
    changed();
}

function visitNumber() {
    return model.visits[selected.insn].findIndex(([p, k]) => p === selected.p && k === selected.k);
}

function changed() {
    const visit = visitNumber();
    history.replaceState(null, "", `#insn=${T.insns[selected.insn].pc}`
        + (visit > 0 ? `&visit=${visit + 1}` : "") + (selected.tab === "tree" ? "&tab=tree" : ""));
    for (const listener of listeners) listener();
}

function step(by) {
    if (selected.p < 0) return;
    const path = T.paths[selected.p], place = placeOf(selected.p, path.start + selected.k + by);
    if (place) goTo(place.p, place.k);
}

/* ---- head and rejection ---- */
function showHead() {
    const head = byId("head"), cost = T.cost, good = T.verdict === "accept";
    const name = T.program.name || T.functions[0].name || "program";
    document.title = `${name}: ${good ? "accepted" : "rejected"}`;
    const theme = make("button", "", "light / dark");
    theme.addEventListener("click", switchTheme);
    head.append(
        make("h1", "", name),
        make("span", `pill ${good ? "good" : "bad"}`, good ? "accepted" : "rejected"),
        make("span", "cost", `${T.program.type} · ${T.insns.length} instructions · `
            + `${cost.processed.toLocaleString("en")} walked on ${T.paths.length.toLocaleString("en")} ${T.paths.length === 1 ? "path" : "paths"} · `
            + `${cost.total_states.toLocaleString("en")} states kept · ${(cost.ns / 1000).toFixed(0)} µs`));
    const keys = make("span", "keys");
    for (const [key, what] of [["← →", "steps"], ["↑ ↓", "instructions"], ["[ ]", "visits"]])
        keys.append(make("kbd", "", key), ` ${what}`);
    keys.append(theme);
    head.append(keys);
}

function showRejection() {
    if (!T.rejection) return;
    const why = byId("why"), path = pathOf(model.failing), causes = make("div", "causes");
    const list = make("dl", "");
    const add = (term, what) => list.append(make("dt", "", term), make("dd", "", what));
    why.append(make("div", "message", `insn ${T.rejection.pc}: ${T.rejection.message}`), list);
    add("rule", T.rejection.rule);
    for (const cause of T.rejection.causes) {
        const text = T.insns[model.indexOf.get(cause.pc)].text.replace(/^\(..\) /, "");
        const row = make("button", "cause", make("span", "", String(cause.pc)), make("span", "", text),
                         make("span", "", cause.what.trim()));
        row.addEventListener("click", () => {
            const place = path && placeOf(model.failing, cause.step);
            if (place && place.k < T.paths[place.p].pcs.length) goTo(place.p, place.k);
            else pickInsn(model.indexOf.get(cause.pc));
        });
        listeners.push(() => row.classList.toggle("picked",
            T.insns[selected.insn].pc === cause.pc && selected.p >= 0
            && T.paths[selected.p].start + selected.k === cause.step));
        causes.append(row);
    }
    if (T.rejection.causes.length) add("because", causes);
    add("hint", T.rejection.hint);
    why.hidden = false;
}

/* ---- the state ---- */
const ENDS = {
    exit: ["good", "exit"], dead: ["plain", "neither way can be"], pruned: ["note", "pruned"],
    closed: ["note", "loop closed"], folded: ["plain", "became a loop"], undone: ["warn", "undone"],
    rejected: ["bad", "rejected"], on: ["plain", "goes on"],
};

function link(text, action) {
    const a = make("a", "", text);
    a.addEventListener("click", (event) => { event.stopPropagation(); action(); });
    return a;
}

function stateLink(number) {
    const state = model.states.get(number), name = `state ${number}`;
    if (!state) return name;
    const place = placeOf(state.path, state.step);
    if (!place || place.k >= T.paths[place.p].pcs.length) return `${name} (at ${state.pc})`;
    return link(name, () => goTo(place.p, place.k));
}

/* Whether the step that is selected is where its path ends without being executed. */
function isStop() {
    const path = pathOf(selected.p);
    return path !== null && selected.k >= path.steps;
}

function cellTable(before, after, titles) {
    const table = make("table", ""), cells = new Set([...before.keys(), ...(after ? after.keys() : [])]);
    const frameOf = (cell) => Math.floor(cell / PER_FRAME);
    const sorted = [...cells].sort((a, b) => frameOf(b) - frameOf(a) || a - b);
    const many = sorted.length > 0 && frameOf(sorted[0]) > 0;
    let frame = -1;
    table.append(make("tr", "", ...titles.map((title) => make("th", "", title))));
    for (const cell of sorted) {
        const old = before.get(cell), now = after ? after.get(cell) : undefined;
        if (frameOf(cell) !== frame) {
            frame = frameOf(cell);
            if (many) {
                const head = make("th", "", `frame ${frame}`);
                head.colSpan = titles.length;
                table.append(make("tr", "frame", head));
            }
        }
        const row = make("tr", after && old !== now ? "changed" : "", make("td", "", cellName(cell)));
        for (const value of after ? [old, now] : [old])
            row.append(make("td", value ? "" : "gone", value ? T.values[value] : "–"));
        table.append(row);
    }
    return table;
}

/* The step after, on the same path; null behind the end. */
function following(p, k) {
    return k + 1 < T.paths[p].pcs.length ? cellsAt(p, k + 1) : null;
}

function showCells(pane, note) {
    const path = pathOf(selected.p), before = cellsAt(selected.p, selected.k);
    if (isStop()) {
        const state = model.states.get(path.state), place = state && placeOf(state.path, state.step);
        const kept = place ? cellsAt(place.p, place.k) : null;
        note.append(path.end === "pruned" ? "the path ends here: nothing that is not in "
                                          : "the path ends here: one more trip is as in ",
                    stateLink(path.state));
        pane.append(cellTable(before, kept && kept.size ? kept : null,
                              kept && kept.size ? ["", "here", `state ${path.state}`] : ["", "here"]));
        return;
    }
    const after = following(selected.p, selected.k);
    const number = model.stateAt.get(`${selected.p}:${path.start + selected.k}`);
    if (number) note.append(`kept as state ${number}`);
    if (path.begin === "loop" && selected.k === 0)
        note.append(` · for all trips of the loop${path.trips ? `, at most ${path.trips}` : ""}`);
    if (path.end === "rejected" && selected.k === path.pcs.length - 1)
        note.append(make("span", "pill bad", "rejected here"));
    pane.append(cellTable(before, after, after ? ["", "before", "after"] : ["", "before"]));
}

function showVisits(pane) {
    const visits = model.visits[selected.insn];
    const from = Math.max(0, Math.min(visitNumber() - 20, visits.length - VISITS_SHOWN));
    for (const [p, k] of visits.slice(from, from + VISITS_SHOWN)) {
        const row = make("div", "row can", make("span", "", `path ${p}, step ${T.paths[p].start + k}`),
                         make("span", `pill ${ENDS[T.paths[p].end][0]}`, ENDS[T.paths[p].end][1]));
        if (p === selected.p && k === selected.k) row.classList.add("picked");
        row.addEventListener("click", () => goTo(p, k));
        pane.append(row);
    }
    if (visits.length > VISITS_SHOWN)
        pane.append(make("div", "say", `${VISITS_SHOWN} of ${visits.length} visits are listed.`));
}

function showState() {
    const insn = T.insns[selected.insn], visits = model.visits[selected.insn];
    const caption = make("div", "caption", make("b", "", `${insn.pc}: ${insn.text.replace(/^\(..\) /, "")}`));
    const cells = make("div", "cells"), list = make("div", "visits"), note = make("span", "");
    const visit = visitNumber();
    const previous = make("button", "", "◀"), next = make("button", "", "▶");
    previous.addEventListener("click", () => visit > 0 && pickInsn(selected.insn, visit - 1));
    next.addEventListener("click", () => visit + 1 < visits.length && pickInsn(selected.insn, visit + 1));
    if (selected.p >= 0) {
        caption.append(previous, isStop() ? "not executed" : `visit ${visit + 1} of ${visits.length}`, next,
                       `path ${selected.p}, step ${T.paths[selected.p].start + selected.k}`, note);
        showCells(cells, note);
        showVisits(list);
    } else {
        cells.append(make("div", "say", T.paths.some((path) => path.cut)
            ? "No visit of this instruction is kept: the walk was too long to keep all of it."
            : "No path comes here."));
    }
    byId("state").replaceChildren(caption, make("div", "split", cells, list));
}

/* ---- keys, tabs, start ---- */
function switchTheme() {
    const root = document.documentElement;
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
}

function pickTab(tab) {
    selected.tab = tab;
    changed();
}

function showTabs() {
    const tabs = byId("tabs");
    for (const [id, title] of [["graph", "Control flow"], ["tree", "Paths"]]) {
        const button = make("button", "", title);
        button.setAttribute("role", "tab");
        button.addEventListener("click", () => pickTab(id));
        listeners.push(() => {
            button.setAttribute("aria-selected", String(selected.tab === id));
            byId(id).hidden = selected.tab !== id;
        });
        tabs.append(button);
    }
    tabs.append(make("span", "gap"));
}

function onKey(event) {
    const visit = visitNumber(), last = T.insns.length - 1;
    const actions = {
        ArrowLeft: () => step(-1),
        ArrowRight: () => step(1),
        ArrowUp: () => pickInsn(Math.max(0, selected.insn - 1)),
        ArrowDown: () => pickInsn(Math.min(last, selected.insn + 1)),
        Home: () => pickInsn(0),
        End: () => pickInsn(last),
        "[": () => visit > 0 && pickInsn(selected.insn, visit - 1),
        "]": () => visit + 1 < model.visits[selected.insn].length && pickInsn(selected.insn, visit + 1),
        t: switchTheme,
        g: () => pickTab("graph"),
        p: () => pickTab("tree"),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
    actions[event.key]();
    event.preventDefault();
}

/* What the address asks for; without it the rejection, or the first instruction. */
function openSelected(asked) {
    const index = model.indexOf.get(Number(asked.get("insn")));
    if (asked.get("theme")) document.documentElement.dataset.theme = asked.get("theme");
    if (asked.get("tab") === "tree") selected.tab = "tree";
    if (asked.has("path")) goTo(Number(asked.get("path")), Number(asked.get("step") ?? 0));
    else if (asked.has("insn") && index !== undefined)
        pickInsn(index, asked.has("visit") ? Number(asked.get("visit")) - 1 : undefined);
    else if (model.failing >= 0 && T.paths[model.failing].pcs.length)
        goTo(model.failing, T.paths[model.failing].pcs.length - 1);
    else pickInsn(T.rejection ? model.indexOf.get(T.rejection.pc) ?? 0 : 0);
}

/* Clicks on instructions in their list, and then keys. */
function actAsked(asked) {
    for (const pc of asked.getAll("click"))
        byId("code").querySelector(`[data-pc="${Number(pc)}"]`)?.click();
    for (const key of asked.getAll("key"))
        document.dispatchEvent(new KeyboardEvent("keydown", { key }));
}

function startPage() {
    document.documentElement.dataset.theme =
        matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    buildModel();
    showHead();
    showTabs();
    showRejection();
    showSource();
    showCode();
    showTree();
    showGraph();
    listeners.push(showState);
    const asked = new URLSearchParams(location.hash.slice(1));
    openSelected(asked);
    document.addEventListener("keydown", onKey);
    actAsked(asked);
    document.body.dataset.ready = "yes";
}
