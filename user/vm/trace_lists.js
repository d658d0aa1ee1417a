/*
 * The long lists of the page: the lines of C, the instructions, the tree of paths. Of a list only
 * the rows that are in sight exist, so that its length costs nothing.
 */
const ROW = 20, SPARE = 12, INDENT_MAX = 14;

/* A list in `pane` of rows that draw(index) makes; show(index) brings one into sight. */
function lazyList(pane, className) {
    const rows = make("div", `rows ${className}`);
    const list = { nr: 0, draw: null };
    pane.append(rows);
    list.refresh = () => {
        const top = rows.offsetTop, height = pane.clientHeight || 600;
        const first = Math.max(0, Math.floor((pane.scrollTop - top) / ROW) - SPARE);
        const last = Math.min(list.nr, Math.ceil((pane.scrollTop - top + height) / ROW) + SPARE);
        const drawn = [];
        rows.style.height = `${list.nr * ROW}px`;
        for (let i = first; i < last; i++) {
            const row = list.draw(i);
            row.style.top = `${i * ROW}px`;
            drawn.push(row);
        }
        rows.replaceChildren(...drawn);
    };
    list.show = (index) => {
        rows.style.height = `${list.nr * ROW}px`;
        const at = rows.offsetTop + index * ROW;
        if (at < pane.scrollTop + 3 * ROW || at > pane.scrollTop + pane.clientHeight - 3 * ROW)
            pane.scrollTop = at - pane.clientHeight / 2;
        list.refresh();
    };
    pane.addEventListener("scroll", list.refresh);
    addEventListener("resize", list.refresh);
    return list;
}

/* ---- colours of text ---- */
const C_TOKENS = /(\/\/.*|\/\*.*?(?:\*\/|$))|("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\b(if|else|for|while|do|return|break|continue|switch|case|default|struct|union|enum|static|const|void|int|long|short|char|unsigned|signed|sizeof|goto|inline|volatile|extern|typedef|bool)\b|\b(0x[0-9a-fA-F]+|\d+)\b/g;
const BPF_TOKENS = /()()\b(if|goto|exit|call|lock|may_goto|pc[+-]\d+)\b|(-?\b0x[0-9a-f]+\b|(?<![\w#])-?\d+\b)|\b([rw]\d0?)\b/g;

function coloured(text, tokens) {
    const parts = [], classes = ["c", "s", "w", "n", "r"];
    let end = 0;
    for (const match of text.matchAll(tokens)) {
        const kind = match.slice(1).findIndex((group) => group);
        if (kind < 0) continue;
        parts.push(text.slice(end, match.index), make("span", classes[kind], match[0]));
        end = match.index + match[0].length;
    }
    parts.push(text.slice(end));
    return parts;
}

/* ---- C ---- */
const source = { rows: [], ofLine: new Map(), insns: new Map() };

/* Rows of a file: all of it when the trace has it, else the lines that instructions come from. */
function addFile(file, known) {
    const whole = T.source[file], numbers = [...known.keys()].sort((a, b) => a - b);
    let last = 0;
    source.rows.push({ file });
    for (const number of whole ? whole.keys() : numbers) {
        const line = whole ? number + 1 : number;
        if (!whole && last && line !== last + 1) source.rows.push({ gap: true });
        source.ofLine.set(`${file}:${line}`, source.rows.length);
        source.rows.push({ file, line, text: whole ? whole[number] : known.get(line) });
        last = line;
    }
}

function lineKey(index) {
    const line = T.lines[T.insns[index].line];
    return line ? `${line.file}:${line.line}` : "";
}

function buildSource() {
    const files = new Map();
    for (const line of T.lines) {
        if (!files.has(line.file)) files.set(line.file, new Map());
        files.get(line.file).set(line.line, line.text);
    }
    for (const [file, known] of files) addFile(file, known);
    T.insns.forEach((insn, index) => {
        const key = lineKey(index);
        if (key) source.insns.set(key, [...(source.insns.get(key) ?? []), index]);
    });
}

function drawLine(index) {
    const row = source.rows[index];
    if (row.gap) return make("div", "row gap", make("span", "no", "⋮"));
    if (row.line === undefined) return make("div", "row name", `  ${row.file}`);
    const key = `${row.file}:${row.line}`, insns = source.insns.get(key);
    const element = make("div", "row", make("span", "no", String(row.line)),
                         make("span", "", ...coloured(row.text.replace(/\t/g, "    "), C_TOKENS)));
    if (!insns) return element;
    element.classList.add("can");
    element.dataset.line = row.line;
    if (T.rejection && insns.some((i) => model.causes.has(T.insns[i].pc))) element.classList.add("cause");
    if (T.rejection && insns.some((i) => T.insns[i].pc === T.rejection.pc)) element.classList.add("fail");
    if (insns.every((i) => !model.visits[i].length)) element.classList.add("never");
    if (insns.includes(selected.insn)) element.classList.add("picked");
    element.addEventListener("click", () => pickInsn(insns[0]));
    return element;
}

function showSource() {
    const pane = byId("source");
    buildSource();
    pane.append(make("div", "caption", "C"));
    if (!source.rows.length) {
        pane.append(make("div", "say", "The program has no BTF line information: compile it with -g."));
        return;
    }
    const list = lazyList(pane, "c-lines");
    list.nr = source.rows.length;
    list.draw = drawLine;
    listeners.push(() => list.show(source.ofLine.get(lineKey(selected.insn)) ?? 0));
}

/* ---- bytecode ---- */
function showCode() {
    const pane = byId("code"), rows = [], rowOf = [];
    T.insns.forEach((insn, index) => {
        const f = T.functions.find((one) => one.pc === insn.pc);
        if (f) rows.push({ name: f.name || `function at ${f.pc}` });
        rowOf.push(rows.length);
        rows.push({ index });
    });
    pane.append(make("div", "caption", "Bytecode · behind it, how often it was walked"));
    const list = lazyList(pane, "insns");
    list.nr = rows.length;
    list.draw = (number) => {
        const { name, index } = rows[number];
        if (name !== undefined) return make("div", "row name", `  ${name}:`);
        const insn = T.insns[index], visits = model.visits[index].length;
        const row = make("div", "row can", make("span", "no", String(insn.pc)),
                         make("span", "", ...coloured(insn.text.replace(/^\(..\) /, ""), BPF_TOKENS)),
                         make("span", "times", visits ? `×${visits}` : ""));
        row.dataset.pc = insn.pc;
        if (!visits) row.classList.add("never");
        if (model.causes.has(insn.pc)) row.classList.add("cause");
        if (T.rejection && T.rejection.pc === insn.pc) row.classList.add("fail");
        if (lineKey(index) && lineKey(index) === lineKey(selected.insn)) row.classList.add("with");
        if (index === selected.insn) row.classList.add("picked");
        row.addEventListener("click", () => pickInsn(index));
        return row;
    };
    listeners.push(() => list.show(rowOf[selected.insn]));
}

/* ---- the tree of paths ---- */
const tree = { open: new Set(), rows: [], list: null };

function flatten() {
    const stack = model.children.flatMap((_, p) => (T.paths[p].parent < 0 ? [[p, 0]] : [])).reverse();
    tree.rows = [];
    while (stack.length) {
        const [p, depth] = stack.pop();
        tree.rows.push([p, depth]);
        if (tree.open.has(p))
            for (const child of [...model.children[p]].reverse()) stack.push([child, depth + 1]);
    }
    tree.list.nr = tree.rows.length;
}

function pathTitle(path) {
    const parent = pathOf(path.parent), from = parent && placeOf(path.parent, path.start - 1);
    const pc = from ? T.paths[from.p].pcs[from.k] : undefined;
    if (path.begin === "start")
        return path.pc ? `from the start of ${functionOf(path.pc).name || path.pc}` : "from the start";
    if (path.begin === "loop")
        return `loop at ${path.pc}, all trips${path.trips ? ` (at most ${path.trips})` : ""}`;
    if (path.begin === "again") return `once more from ${path.pc}`;
    if (path.begin === "on") return `on at ${path.pc}`;
    return pc === undefined ? `branch to ${path.pc}` : `branch ${pc} → ${path.pc}`;
}

function drawPath(index) {
    const [p, depth] = tree.rows[index], path = T.paths[p];
    const twist = make("span", "twist", model.children[p].length ? (tree.open.has(p) ? "▾" : "▸") : "");
    const [colour, text] = ENDS[path.end], end = make("span", `pill ${colour}`, text);
    const row = make("div", "row can", twist, make("span", "id", `#${p}`), pathTitle(path),
                     make("span", "c", `${path.steps} ${path.steps === 1 ? "step" : "steps"}`), end);
    row.style.paddingLeft = `${8 + 14 * Math.min(depth, INDENT_MAX)}px`;
    row.dataset.path = p;
    if (path.end === "pruned" || path.end === "closed")
        row.append(make("span", "", path.end === "pruned" ? "by " : "to ", stateLink(path.state)));
    if (path.why) row.title = path.why;
    if (p === selected.p) row.classList.add("picked");
    row.addEventListener("click", () => (path.pcs.length ? goTo(p, path.pcs.length - 1) : null));
    twist.addEventListener("click", (event) => {
        event.stopPropagation();
        if (!tree.open.delete(p)) tree.open.add(p);
        flatten();
        tree.list.refresh();
    });
    return row;
}

/* Opens what leads to the path that is selected, and shows it. */
function showPicked() {
    let opened = false;
    for (let p = pathOf(selected.p)?.parent ?? -1; p >= 0; p = T.paths[p].parent) {
        opened ||= !tree.open.has(p);
        tree.open.add(p);
    }
    if (opened) flatten();
    const index = tree.rows.findIndex(([p]) => p === selected.p);
    if (!byId("tree").hidden) tree.list.show(Math.max(index, 0));
}

function showTree() {
    const pane = byId("tree"), cut = T.paths.filter((path) => path.cut).length;
    pane.append(make("div", "caption", `Paths in the order of the walk, under those they branch off`
        + (T.impossible ? ` · ${T.impossible} ways could not be` : "")));
    if (cut)
        pane.append(make("div", "say", `The walk was long: of ${cut.toLocaleString("en")} paths only the ends `
            + "are kept, not their steps."));
    tree.list = lazyList(pane, "tree");
    tree.list.draw = drawPath;
    if (T.paths.length <= 400) T.paths.forEach((_, p) => tree.open.add(p));
    flatten();
    listeners.push(showPicked);
}
