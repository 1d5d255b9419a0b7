// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What may be asked of the shared Ollama. A body is read strictly, and what goes on is a body written anew from the
// known keys: Ollama itself takes a key in any case, and the last of two.
//
// It runs in njs 0.7.9 (Debian 12), which has no classes and no "for ... of". Bytes are read from a Buffer: a regular
// expression that begins within a long string of njs takes as long as the whole string.

import fs from 'fs';

const MAX_DEPTH = 64;
// Each value costs some microseconds, in which this worker of nginx does nothing else.
const MAX_VALUES = 50000;
const MAX_NUMBER = 64;
const MAX_NAME = 512;
const MAX_SHOWN = 64;
// Milliseconds between two looks at Ollama, and how many of them at one that is being stopped.
const TURN = 500;
const MAX_TURNS = 500;

const QUOTE = 0x22, BACKSLASH = 0x5c, COMMA = 0x2c, COLON = 0x3a;
const OPEN_LIST = 0x5b, CLOSE_LIST = 0x5d, OPEN_OBJECT = 0x7b, CLOSE_OBJECT = 0x7d;

const NUMBER_FORM = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
// What a name has not. ($ would let a newline at its end through: njs has PCRE's.)
const NO_MODEL = /^[^A-Za-z0-9_]|[^A-Za-z0-9_.:\/-]/;
const CLOUD = /[:-]cloud$/i;

// Kinds of a value: which types it may have, the kind of a list's items, and the kinds of an object's keys. null is
// let through everywhere: Ollama takes it for a key that was left out.
const TEXT = {is: {string: true}};
const NUMBER = {is: {number: true}};
const SWITCH = {is: {boolean: true}};
const FREE = {is: {string: true, number: true, boolean: true, list: true, object: true}};
FREE.items = FREE;
const FREE_OBJECT = {is: {object: true}};
const MODEL = {is: {string: true}, check: checkModel};
// A switch, or a word such as "high"; a text, or a schema.
const SWITCH_OR_TEXT = {is: {boolean: true, string: true}};
const TEXT_OR_OBJECT = {is: {string: true, object: true}};

function list(items) {
    return {is: {list: true}, items: items};
}

function object(keys) {
    return {is: {object: true}, keys: keys};
}

// What belongs to the server: the same value as the server's own is left out, any other one is refused.
function ofServer(variable) {
    return {is: {string: true, number: true, boolean: true}, variable: variable};
}

const TEXTS = {is: {string: true, list: true}, items: TEXT};
const KEEP_ALIVE = ofServer('gateway_keep_alive');
// Ollama's Options without those of its Runner: each of these loads the weights anew.
const OPTIONS = object({
    num_ctx: ofServer('gateway_num_ctx'), num_thread: ofServer('gateway_num_thread'),
    num_gpu: ofServer('gateway_num_gpu'),
    num_keep: NUMBER, seed: NUMBER, num_predict: NUMBER, top_k: NUMBER, top_p: NUMBER, min_p: NUMBER, typical_p: NUMBER,
    tfs_z: NUMBER, repeat_last_n: NUMBER, temperature: NUMBER, repeat_penalty: NUMBER, presence_penalty: NUMBER,
    frequency_penalty: NUMBER, mirostat: NUMBER, mirostat_tau: NUMBER, mirostat_eta: NUMBER, penalize_newline: SWITCH,
    stop: TEXTS
});
const TOOLS = list(object({
    type: TEXT, function: object({name: TEXT, description: TEXT, parameters: FREE_OBJECT, strict: SWITCH})
}));
// Ollama gives and takes the arguments as an object, OpenAI as a text.
const TOOL_CALLS = list(object({
    id: TEXT, index: NUMBER, type: TEXT, function: object({index: NUMBER, name: TEXT, arguments: TEXT_OR_OBJECT})
}));
const PARTS = object({
    type: TEXT, text: TEXT, image_url: {is: {string: true, object: true}, keys: {url: TEXT, detail: TEXT}}
});
const RESPONSE_FORMAT = object({
    type: TEXT, json_schema: object({name: TEXT, description: TEXT, schema: FREE_OBJECT, strict: SWITCH})
});
const STREAM_OPTIONS = object({include_usage: SWITCH});

// Not here, on purpose: template (a program that runs in the server), _debug_render_only (shows the system prompt),
// width, height and steps (memory without end).
const ROUTES = {
    '/api/generate': object({
        model: MODEL, prompt: TEXT, suffix: TEXT, system: TEXT, context: list(NUMBER), stream: SWITCH, raw: SWITCH,
        format: TEXT_OR_OBJECT, images: list(TEXT), think: SWITCH_OR_TEXT, truncate: SWITCH, shift: SWITCH,
        logprobs: SWITCH, top_logprobs: NUMBER, keep_alive: KEEP_ALIVE, options: OPTIONS
    }),
    '/api/chat': object({
        model: MODEL, stream: SWITCH, format: TEXT_OR_OBJECT, think: SWITCH_OR_TEXT, truncate: SWITCH, shift: SWITCH,
        logprobs: SWITCH, top_logprobs: NUMBER, keep_alive: KEEP_ALIVE, options: OPTIONS, tools: TOOLS,
        messages: list(object({
            role: TEXT, content: TEXT, thinking: TEXT, images: list(TEXT), tool_calls: TOOL_CALLS, tool_name: TEXT,
            tool_call_id: TEXT
        }))
    }),
    '/api/embed': object({
        model: MODEL, input: TEXTS, truncate: SWITCH, dimensions: NUMBER, keep_alive: KEEP_ALIVE, options: OPTIONS
    }),
    '/api/embeddings': object({model: MODEL, prompt: TEXT, keep_alive: KEEP_ALIVE, options: OPTIONS}),
    '/v1/chat/completions': object({
        model: MODEL, stream: SWITCH, stream_options: STREAM_OPTIONS, max_tokens: NUMBER, seed: NUMBER, stop: TEXTS,
        temperature: NUMBER, frequency_penalty: NUMBER, presence_penalty: NUMBER, top_p: NUMBER,
        response_format: RESPONSE_FORMAT, tools: TOOLS, reasoning: object({effort: TEXT}), reasoning_effort: TEXT,
        logprobs: SWITCH, top_logprobs: NUMBER,
        messages: list(object({
            role: TEXT, content: {is: {string: true, list: true}, items: PARTS}, reasoning: TEXT, name: TEXT,
            tool_calls: TOOL_CALLS, tool_call_id: TEXT
        }))
    }),
    '/v1/completions': object({
        model: MODEL, prompt: TEXT, suffix: TEXT, stream: SWITCH, stream_options: STREAM_OPTIONS, max_tokens: NUMBER,
        seed: NUMBER, stop: TEXTS, temperature: NUMBER, frequency_penalty: NUMBER, presence_penalty: NUMBER,
        top_p: NUMBER, logprobs: NUMBER
    }),
    '/v1/embeddings': object({model: MODEL, input: TEXTS, dimensions: NUMBER, encoding_format: TEXT})
};

function refuse(text, status) {
    const error = new Error(text);
    error.status = status || 400;
    throw error;
}

// A key or a value as a message may show it.
function shown(text) {
    return JSON.stringify(text.length > MAX_SHOWN ? text.slice(0, MAX_SHOWN) + '...' : text);
}

// As Go compares keys: K of the Kelvin sign is a k, and the long s an s.
function folded(key) {
    return key.toUpperCase().toLowerCase();
}

function checkModel(raw) {
    const name = JSON.parse(raw);
    if (name === '' || name.length > MAX_NAME || NO_MODEL.test(name)) {
        refuse('model: ' + shown(name) + ' is no name of a model: write it as llama3.1:8b.');
    }
    if (CLOUD.test(name)) {
        refuse('model: ' + name + ' would be answered in the cloud, and prompts do not leave this server.', 403);
    }
}

// Compare with the server's value; the path of the key is for the message.
function checkServers(r, variable, raw, path) {
    const own = r.variables[variable];
    const value = raw.charAt(0) === '"' ? JSON.parse(raw) : raw;
    if (own === '' || value !== own) {
        refuse(path + ': ' + shown(value) + ' is not the server\'s value: leave ' + path + ' out' +
               (own === '' ? '.' : ', or give ' + shown(own) + '.'));
    }
}

// Reads the words of JSON from bytes.
function Scanner(bytes) {
    this.bytes = bytes;
    this.at = 0;
}

Scanner.prototype.broken = function () {
    refuse(this.at < this.bytes.length ? 'The body is not JSON: byte ' + this.at + ' is not what may stand there.'
           : 'The body is not JSON: it ends too early.');
};

// The next byte that is not blank; undefined at the end.
Scanner.prototype.next = function () {
    const bytes = this.bytes;
    let at = this.at, byte = bytes[at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
        at++;
        byte = bytes[at];
    }
    this.at = at;
    return byte;
};

Scanner.prototype.expect = function (byte) {
    if (this.next() !== byte) {
        this.broken();
    }
    this.at++;
};

// The text between two quotes, quotes included, as it came.
Scanner.prototype.text = function () {
    const bytes = this.bytes, start = this.at;
    let end = start, back;
    do {
        end = bytes.indexOf(QUOTE, end + 1);
        if (end < 0) {
            this.at = bytes.length;
            this.broken();
        }
        back = end;
        while (bytes[back - 1] === BACKSLASH) {
            back--;
        }
    } while ((end - back) % 2 === 1);
    const raw = bytes.toString('utf8', start, end + 1);
    try {
        JSON.parse(raw);
    } catch (error) {
        this.broken();
    }
    this.at = end + 1;
    return raw;
};

Scanner.prototype.number = function () {
    const bytes = this.bytes, start = this.at;
    let at = start, byte = bytes[at];
    // Digits, and + - . e E
    while (byte >= 0x30 && byte <= 0x39 || byte === 0x2b || byte === 0x2d || byte === 0x2e || byte === 0x65 ||
           byte === 0x45) {
        at++;
        byte = bytes[at];
    }
    const raw = at - start > MAX_NUMBER ? '' : bytes.toString('utf8', start, at);
    if (!NUMBER_FORM.test(raw) || !isFinite(Number(raw))) {
        this.broken();
    }
    this.at = at;
    return raw;
};

Scanner.prototype.word = function (raw) {
    if (this.bytes.toString('utf8', this.at, this.at + raw.length) !== raw) {
        this.broken();
    }
    this.at += raw.length;
    return raw;
};

// Reads JSON of a kind, and writes what goes on into out, piece by piece. No function calls itself: njs has a small
// stack. What is open is a list of lists and objects, each within the one before.
function Rewriter(r, bytes) {
    this.r = r;
    this.from = new Scanner(bytes);
    this.out = [];
    this.open = [];
    this.values = 0;
}

Rewriter.prototype.mustBe = function (kind, type, path) {
    if (!kind.is[type]) {
        refuse((path || 'The body') + ' is of type ' + type + ': it must be ' + Object.keys(kind.is).join(' or ') + '.');
    }
};

// Return whether the value goes on.
Rewriter.prototype.scalar = function (kind, type, raw, path) {
    if (raw !== 'null') {
        this.mustBe(kind, type, path);
        if (kind.variable) {
            checkServers(this.r, kind.variable, raw, path);
            return false;
        }
        if (kind.check) {
            kind.check(raw);
        }
    }
    this.out.push(raw);
    return true;
};

Rewriter.prototype.begin = function (kind, type, path) {
    this.mustBe(kind, type, path);
    if (this.open.length === MAX_DEPTH) {
        refuse('The body is nested more than ' + MAX_DEPTH + ' deep.');
    }
    this.from.at++;
    this.out.push(type === 'list' ? '[' : '{');
    this.open.push({kind: kind, path: path, first: true, seen: type === 'list' ? null : {}});
    return true;
};

// Read a value, of a list or an object only its beginning. Return whether it goes on.
Rewriter.prototype.value = function (kind, path) {
    const from = this.from;
    this.values++;
    if (this.values > MAX_VALUES) {
        refuse('The body has more than ' + MAX_VALUES + ' values.');
    }
    switch (from.next()) {
    case QUOTE: return this.scalar(kind, 'string', from.text(), path);
    case OPEN_OBJECT: return this.begin(kind, 'object', path);
    case OPEN_LIST: return this.begin(kind, 'list', path);
    case 0x74: return this.scalar(kind, 'boolean', from.word('true'), path);
    case 0x66: return this.scalar(kind, 'boolean', from.word('false'), path);
    case 0x6e: return this.scalar(kind, 'null', from.word('null'), path);
    default: return this.scalar(kind, 'number', from.number(), path);
    }
};

Rewriter.prototype.member = function (object) {
    const from = this.from, out = this.out, keys = object.kind.keys;
    if (from.next() !== QUOTE) {
        from.broken();
    }
    const raw = from.text(), key = JSON.parse(raw), twin = '$' + folded(key);
    // Within what is free the path does not grow: the keys there are the caller's, of any length.
    const path = !keys ? object.path : object.path === '' ? key : object.path + '.' + key;
    if (object.seen[twin]) {
        refuse('The key ' + shown(key) + ' stands twice, in one case or two.');
    }
    object.seen[twin] = true;
    if (keys && !Object.prototype.hasOwnProperty.call(keys, key)) {
        refuse('The key ' + shown(path) + ' is not let through: leave it out, or write it as Ollama\'s API has it.');
    }
    from.expect(COLON);
    const before = out.length;
    out.push(out[before - 1] === '{' ? '' : ',', keys ? JSON.stringify(key) : raw, ':');
    if (!this.value(keys ? keys[key] : FREE, path)) {
        out.length = before;
    }
};

Rewriter.prototype.item = function (list) {
    if (!list.first) {
        this.out.push(',');
    }
    this.value(list.kind.items, list.kind === FREE ? list.path : list.path + '[]');
};

// Return the whole body as it goes on.
Rewriter.prototype.rewritten = function (kind) {
    const from = this.from, open = this.open;
    this.value(kind, '');
    while (open.length > 0) {
        const inner = open[open.length - 1];
        if (from.next() === (inner.seen ? CLOSE_OBJECT : CLOSE_LIST)) {
            from.at++;
            this.out.push(inner.seen ? '}' : ']');
            open.pop();
            continue;
        }
        if (!inner.first) {
            from.expect(COMMA);
        }
        if (inner.seen) {
            this.member(inner);
        } else {
            this.item(inner);
        }
        inner.first = false;
    }
    if (from.next() !== undefined) {
        from.broken();
    }
    return this.out.join('');
};

// The bytes of the body; a body with many small chunks may be in a file, where njs does not read it.
function body(r) {
    if (r.headersIn['Content-Encoding']) {
        refuse('A compressed body is not let through: send it without Content-Encoding.', 415);
    }
    let bytes;
    try {
        bytes = r.requestBuffer;
    } catch (error) {
        refuse('The body came in too many pieces: send it whole, with Content-Length.', 411);
    }
    if (bytes === undefined || bytes.length === 0) {
        refuse('The request has no body: send a JSON object.');
    }
    try {
        new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes);
    } catch (error) {
        refuse('The body is not UTF-8.');
    }
    return bytes;
}

// From when it is told to stop until it has stopped, Ollama's unit has this file.
function stops(r) {
    try {
        fs.accessSync(r.variables.gateway_stopping);
        return true;
    } catch (error) {
        return false;
    }
}

// Hold a question that Ollama has not got until it listens. One that nobody starts again is not waited for long.
async function hold(r) {
    let left = Number(r.variables.gateway_patience) * 1000 / TURN;
    r.variables.gateway_held = 'yes';
    for (let turn = 0; turn < MAX_TURNS && left > 0; turn++) {
        if (!stops(r)) {
            try {
                await ngx.fetch(r.variables.gateway_look);
                r.internalRedirect('@ollama');
                return;
            } catch (error) {
                left--;
            }
        }
        await new Promise(resolve => setTimeout(resolve, TURN));
    }
    r.internalRedirect('@gone');
}

// After Ollama gave no answer. What it has got of a question is not sent again.
function again(r) {
    const sent = r.variables.upstream_bytes_sent;
    if (sent !== '0' || r.variables.gateway_held) {
        r.internalRedirect('@gone');
        return undefined;
    }
    return hold(r);
}

function filter(r) {
    try {
        r.variables.gateway_body = new Rewriter(r, body(r)).rewritten(ROUTES[r.uri]);
    } catch (error) {
        if (!error.status) {
            // Never its text: it could have a piece of the body in it.
            r.error('the filter failed');
        }
        r.headersOut['Content-Type'] = 'application/json';
        r.return(error.status || 500, JSON.stringify({error: error.status ? error.message : 'The filter failed.'}));
        return undefined;
    }
    if (stops(r)) {
        return hold(r);
    }
    r.internalRedirect('@ollama');
    return undefined;
}

export default {again, filter};
