/*
 * The control-flow graph, one drawing a function: basic blocks in layers, so that every edge but
 * those of loops leads down. As in Sugiyama, Tagawa, Toda, "Methods for Visual Understanding of
 * Hierarchical System Structures", 1981: layers by the longest way, order within them by the mean
 * of the neighbours, then places. Edges that pass layers go through points of their own there; those
 * to one block share them, which keeps drawings with many ways to one exit narrow.
 */
const GRAPH = {
    blocks: 1500, points: 60000, lines: 12, // drawn at most
    lineHeight: 15, letter: 6.65, pad: 8, gapX: 26, gapY: 36, sweeps: 8,
};
const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
}

/* ---- basic blocks ---- */

/* Of each instruction, where it can lead to within its function, as indices: [fall through, jump]. */
function waysOf(index) {
    const insn = T.insns[index];
    return { next: insn.last || index + 1 >= T.insns.length ? -1 : index + 1,
             jump: insn.jump === undefined ? -1 : model.indexOf.get(insn.jump) ?? -1 };
}

/* Blocks {first, last, ways: [{to, kind}]} of the instructions [from, to). */
function findBlocks(from, to) {
    const leaders = new Set([from]), blocks = [], blockAt = new Map();
    for (let i = from; i < to; i++) {
        const { jump } = waysOf(i);
        if (jump >= from && jump < to) leaders.add(jump);
        if ((T.insns[i].jump !== undefined || T.insns[i].last) && i + 1 < to) leaders.add(i + 1);
    }
    for (const first of [...leaders].sort((a, b) => a - b)) {
        if (blocks.length) blocks[blocks.length - 1].last = first - 1;
        blockAt.set(first, blocks.length);
        blocks.push({ first, last: to - 1, ways: [] });
    }
    for (const block of blocks) {
        const { next, jump } = waysOf(block.last);
        if (next >= 0 && blockAt.has(next)) block.ways.push({ to: blockAt.get(next), kind: "next" });
        if (jump >= 0 && blockAt.has(jump) && jump !== next)
            block.ways.push({ to: blockAt.get(jump), kind: "jump" });
    }
    return blocks;
}

/* ---- layers ---- */

/* Marks the ways that lead back to a block under way, and gives the blocks in an order in which
 * every other way leads on. */
function orderBlocks(blocks) {
    const state = new Uint8Array(blocks.length), order = [];
    for (let root = 0; root < blocks.length; root++) {
        const stack = state[root] ? [] : [[root, 0]];
        if (stack.length) state[root] = 1;
        while (stack.length) {
            const top = stack[stack.length - 1], ways = blocks[top[0]].ways;
            if (top[1] === ways.length) {
                state[top[0]] = 2;
                order.push(top[0]);
                stack.pop();
                continue;
            }
            const way = ways[top[1]++];
            way.back = state[way.to] === 1;
            if (!state[way.to]) {
                state[way.to] = 1;
                stack.push([way.to, 0]);
            }
        }
    }
    return order.reverse();
}

/* Nodes: blocks first, then the points that long edges pass through. */
function makeNodes(blocks) {
    const layer = new Int32Array(blocks.length), nodes = [], points = new Map(), edges = [];
    for (const b of orderBlocks(blocks))
        for (const way of blocks[b].ways)
            if (!way.back) layer[way.to] = Math.max(layer[way.to], layer[b] + 1);
    blocks.forEach((block, b) => {
        const insns = T.insns.slice(block.first, block.last + 1), shown = insns.slice(0, GRAPH.lines);
        const texts = shown.map((insn) => `${String(insn.pc).padStart(4)}  ${insn.text.replace(/^\(..\) /, "")}`);
        if (insns.length > shown.length) texts.push(`      … ${insns.length - shown.length} more`);
        nodes.push({ block, layer: layer[b], texts, up: [], down: [],
                     width: Math.max(...texts.map((text) => text.length)) * GRAPH.letter + 2 * GRAPH.pad,
                     height: texts.length * GRAPH.lineHeight + GRAPH.pad });
    });
    const join = (a, b) => {
        if (nodes[a].down.includes(b)) return;
        nodes[a].down.push(b);
        nodes[b].up.push(a);
    };
    const pointAt = (key, at) => {
        const name = `${key}:${at}`;
        if (!points.has(name)) {
            points.set(name, nodes.length);
            nodes.push({ layer: at, up: [], down: [], width: 8, height: 0 });
        }
        return points.get(name);
    };
    blocks.forEach((block, b) => {
        for (const way of block.ways) {
            const [top, bottom] = way.back ? [way.to, b] : [b, way.to], via = [top];
            for (let at = layer[top] + 1; at < layer[bottom] && nodes.length < GRAPH.points; at++)
                via.push(pointAt(way.back ? `back ${way.to}` : way.to, at));
            via.push(bottom);
            for (let i = 0; top !== bottom && i + 1 < via.length; i++) join(via[i], via[i + 1]);
            edges.push({ from: b, to: way.to, kind: way.back ? "back" : way.kind, via });
        }
    });
    return { nodes, edges };
}

/* ---- order and places ---- */
function mean(numbers) {
    return numbers.reduce((sum, n) => sum + n, 0) / numbers.length;
}

function orderLayers(nodes) {
    const layers = [];
    nodes.forEach((node, n) => (layers[node.layer] ??= []).push(n));
    const number = () => layers.forEach((layer) => layer.forEach((n, i) => { nodes[n].at = i; }));
    number();
    for (let sweep = 0; sweep < GRAPH.sweeps; sweep++) {
        const side = sweep % 2 ? "down" : "up";
        for (const layer of sweep % 2 ? [...layers].reverse() : layers) {
            for (const n of layer)
                nodes[n].want = nodes[n][side].length ? mean(nodes[n][side].map((m) => nodes[m].at))
                                                      : nodes[n].at;
            layer.sort((a, b) => nodes[a].want - nodes[b].want || nodes[a].at - nodes[b].at);
            layer.forEach((n, i) => { nodes[n].at = i; });
        }
    }
    return layers;
}

/* Moves a layer's nodes as near to where they want to be as their widths allow. */
function spread(nodes, layer) {
    const gap = (a, b) => (nodes[a].width + nodes[b].width) / 2
        + (nodes[a].block || nodes[b].block ? GRAPH.gapX : 6);
    const groups = [];
    for (const n of layer) {
        let group = { members: [n], offsets: [0], sum: nodes[n].want, x: nodes[n].want };
        for (let before = groups[groups.length - 1]; before; before = groups[groups.length - 1]) {
            const last = before.offsets[before.offsets.length - 1];
            const distance = last + gap(before.members[before.members.length - 1], group.members[0]);
            if (before.x + distance <= group.x) break;
            groups.pop();
            before.members.push(...group.members);
            before.offsets.push(...group.offsets.map((offset) => offset + distance));
            before.sum += group.sum - distance * group.offsets.length;
            before.x = before.sum / before.members.length;
            group = before;
        }
        groups.push(group);
    }
    for (const group of groups)
        group.members.forEach((n, i) => { nodes[n].x = group.x + group.offsets[i]; });
}

function placeNodes(nodes, layers) {
    let y = 0;
    for (const layer of layers) {
        const height = Math.max(...layer.map((n) => nodes[n].height));
        for (const n of layer) [nodes[n].y, nodes[n].bottom] = [y, y + nodes[n].height];
        for (const n of layer) if (!nodes[n].block) nodes[n].bottom = y + height;
        y += height + GRAPH.gapY;
        layer.forEach((n, i) => { nodes[n].x = i * 60; });
    }
    for (let sweep = 0; sweep < 2 * GRAPH.sweeps; sweep++)
        for (const layer of sweep % 2 ? [...layers].reverse() : layers) {
            for (const n of layer) {
                const near = [...nodes[n].up, ...nodes[n].down];
                nodes[n].want = near.length ? mean(near.map((m) => nodes[m].x)) : nodes[n].x;
            }
            spread(nodes, layer);
        }
    const left = Math.min(...nodes.map((node) => node.x - node.width / 2));
    for (const node of nodes) node.x += 16 - left;
    return { width: Math.max(...nodes.map((node) => node.x + node.width / 2)) + 40, height: y };
}

/* ---- drawing ---- */
function edgePath(nodes, edge) {
    const first = nodes[edge.via[0]], last = nodes[edge.via[edge.via.length - 1]];
    if (first === last) { // a block that leads to itself
        const x = first.x + first.width / 2;
        return `M${x} ${first.bottom - 6} C${x + 30} ${first.bottom + 4} ${x + 30} ${first.y - 4} ${x} ${first.y + 6}`;
    }
    let d = `M${first.x} ${first.bottom}`;
    for (let i = 1; i < edge.via.length; i++) {
        const a = nodes[edge.via[i - 1]], b = nodes[edge.via[i]], half = (b.y - a.bottom) / 2;
        d += ` C${a.x} ${a.bottom + half} ${b.x} ${b.y - half} ${b.x} ${b.y}`;
        if (!b.block) d += ` L${b.x} ${b.bottom}`;
    }
    return d;
}

const graph = { blockOf: new Map(), lineOf: new Map(), edges: new Map(), picked: [], scale: 1, svgs: [] };

function drawBlock(node) {
    const { first, last } = node.block, element = draw("g", { class: "block" });
    element.append(draw("rect", { x: node.x - node.width / 2, y: node.y, width: node.width, height: node.height }));
    node.texts.forEach((text, line) => {
        const pc = T.insns[first + line].pc, cause = model.causes.has(pc);
        const back = draw("rect", { class: "line", x: node.x - node.width / 2 + 2,
                                    y: node.y + GRAPH.lineHeight * line + 3, width: node.width - 4,
                                    height: GRAPH.lineHeight });
        if (cause) back.classList.add("cause");
        if (T.rejection && pc === T.rejection.pc) back.classList.add("fail");
        graph.lineOf.set(first + line, back);
        element.append(back, draw("text", { x: node.x - node.width / 2 + GRAPH.pad,
                                      y: node.y + GRAPH.lineHeight * (line + 1) - 1,
                                      "xml:space": "preserve" }, text));
    });
    let walked = false;
    for (let i = first; i <= last; i++) {
        graph.blockOf.set(i, element);
        walked ||= model.visits[i].length > 0;
    }
    if (!walked) element.classList.add("never");
    element.dataset.pc = T.insns[first].pc;
    element.addEventListener("click", (event) => {
        const line = Math.floor((event.offsetY / graph.scale - node.y - 3) / GRAPH.lineHeight);
        pickInsn(Math.min(last, first + Math.max(0, line)));
    });
    return element;
}

/* An arrow's head follows the edge's way, so those that lead back are drawn from their end. */
function drawFunction(blocks) {
    const { nodes, edges } = makeNodes(blocks);
    if (nodes.length >= GRAPH.points) return null;
    const { width, height } = placeNodes(nodes, orderLayers(nodes));
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}` });
    const marker = draw("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9,
                                    markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" },
                        draw("path", { d: "M0 0 L8 4 L0 8 z" }));
    svg.append(draw("defs", {}, marker));
    for (const edge of edges) {
        const path = draw("path", { class: `edge ${edge.kind}`, d: edgePath(nodes, edge) });
        path.setAttribute(edge.kind === "back" && edge.from !== edge.to ? "marker-start" : "marker-end", "url(#arrow)");
        graph.edges.set(`${blocks[edge.from].last}>${blocks[edge.to].first}`, path);
        svg.append(path);
    }
    for (const node of nodes) if (node.block) svg.append(drawBlock(node));
    graph.svgs.push({ svg, width, height });
    return svg;
}

function scaleGraph(factor) {
    graph.scale = Math.min(2, Math.max(0.1, graph.scale * factor));
    for (const { svg, width, height } of graph.svgs) {
        svg.setAttribute("width", width * graph.scale);
        svg.setAttribute("height", height * graph.scale);
    }
}

/* The ways of the whole path up to the step that is selected, without its far past. */
function markWalk() {
    let steps = 20000, after = -1;
    for (const edge of graph.edges.values()) edge.classList.remove("walked");
    byId("graph").classList.toggle("bad-way", selected.p >= 0 && selected.p === model.failing);
    for (let { p, k } = selected; p >= 0 && steps > 0; ) {
        const path = T.paths[p];
        for (; k >= 0 && steps-- > 0; k--) {
            const index = model.indexOf.get(path.pcs[k]);
            graph.edges.get(`${index}>${after}`)?.classList.add("walked");
            after = index;
        }
        const place = path.parent >= 0 ? placeOf(path.parent, path.start - 1) : null;
        p = place ? place.p : -1;
        k = place ? place.k : -1;
    }
}

function inSight(pane, element) {
    const box = element.getBoundingClientRect(), view = pane.getBoundingClientRect();
    if (box.top >= view.top && box.bottom <= view.bottom && box.left >= view.left && box.right <= view.right) return;
    pane.scrollTop += box.top - view.top - Math.max(10, (view.height - box.height) / 2);
    pane.scrollLeft += box.left + box.width / 2 - view.left - view.width / 2;
}

function showPickedBlock() {
    const element = graph.blockOf.get(selected.insn);
    for (const one of graph.picked) one.classList.remove("picked");
    graph.picked = [element, graph.lineOf.get(selected.insn)].filter(Boolean);
    for (const one of graph.picked) one.classList.add("picked");
    markWalk();
    if (element && !byId("graph").hidden) inSight(byId("graph"), element);
}

function showGraph() {
    const pane = byId("graph"), tabs = byId("tabs");
    T.functions.forEach((f, number) => {
        const from = model.indexOf.get(f.pc), next = T.functions[number + 1];
        const blocks = findBlocks(from, next ? model.indexOf.get(next.pc) : T.insns.length);
        const svg = blocks.length > GRAPH.blocks ? null : drawFunction(blocks);
        if (T.functions.length > 1) pane.append(make("h2", "", f.name || `function at ${f.pc}`));
        pane.append(svg ?? make("div", "say", `The graph has ${blocks.length.toLocaleString("en")} blocks; `
            + "one of this size is not drawn."));
    });
    for (const [title, factor] of [["−", 0.8], ["+", 1.25]]) {
        const button = make("button", "", title);
        button.addEventListener("click", () => { scaleGraph(factor); showPickedBlock(); });
        tabs.append(button);
    }
    const widest = Math.max(1, ...graph.svgs.map(({ width }) => width));
    scaleGraph(Math.min(1, Math.max(0.55, (pane.clientWidth - 16) / widest)));
    listeners.push(showPickedBlock);
}
