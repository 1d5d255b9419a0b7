// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What may be asked of the shared Ollama. A body is read strictly, and what goes on is a body written anew from the
// known keys: Ollama itself takes a key in any case, and the last of two.
//
// It runs in njs 0.7.9 (Debian 12), which has no "for ... of" and no classes. Bytes are read from a Buffer, since a
// search in a njs string that is not ASCII begins at its first character.

const MAX_DEPTH = 64;
// Each value costs some microseconds, in which this worker of nginx does nothing else.
const MAX_VALUES = 50000;
const MAX_NUMBER = 64;
const MAX_SHOWN = 64;

const QUOTE = 0x22, BACKSLASH = 0x5c, COMMA = 0x2c, COLON = 0x3a;
const OPEN_LIST = 0x5b, CLOSE_LIST = 0x5d, OPEN_OBJECT = 0x7b, CLOSE_OBJECT = 0x7d;

const NUMBER_FORM = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const MODEL_FORM = /^[A-Za-z0-9_][A-Za-z0-9_.:\/-]{0,511}$/;
const CLOUD_FORM = /[:-]cloud$/i;

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
    if (!MODEL_FORM.test(name)) {
        refuse('model: ' + shown(name) + ' is no name of a model: write it as llama3.1:8b.');
    }
    if (CLOUD_FORM.test(name)) {
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

// Reads JSON from bytes and writes what it lets through into out, piece by piece.
function reader(r, bytes) {
    const out = [];
    let at = 0, depth = 0, values = 0;

    function blank() {
        let byte = bytes[at];
        while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
            at++;
            byte = bytes[at];
        }
        return byte;
    }

    function broken() {
        refuse(at < bytes.length ? 'The body is not JSON: byte ' + at + ' is not what may stand there.'
               : 'The body is not JSON: it ends too early.');
    }

    function expect(byte) {
        if (blank() !== byte) {
            broken();
        }
        at++;
    }

    // The text between two quotes, quotes included, as it came.
    function string() {
        const start = at;
        let end = at, back;
        do {
            end = bytes.indexOf(QUOTE, end + 1);
            if (end < 0) {
                at = bytes.length;
                broken();
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
            broken();
        }
        at = end + 1;
        return raw;
    }

    function number() {
        const start = at;
        let byte = bytes[at];
        // Digits, and + - . e E
        while (byte >= 0x30 && byte <= 0x39 || byte === 0x2b || byte === 0x2d || byte === 0x2e || byte === 0x65 ||
               byte === 0x45) {
            at++;
            byte = bytes[at];
        }
        const raw = at - start > MAX_NUMBER ? '' : bytes.toString('utf8', start, at);
        if (!NUMBER_FORM.test(raw) || !isFinite(Number(raw))) {
            at = start;
            broken();
        }
        return raw;
    }

    function word(raw) {
        if (bytes.toString('utf8', at, at + raw.length) !== raw) {
            broken();
        }
        at += raw.length;
        return raw;
    }

    function mustBe(kind, type, path) {
        if (!kind.is[type]) {
            refuse((path || 'The body') + ' is of type ' + type + ': it must be ' + Object.keys(kind.is).join(' or ') + '.');
        }
    }

    // Each reads one value. They return whether it goes on.
    function scalar(kind, type, raw, path) {
        if (raw === 'null') {
            out.push(raw);
            return true;
        }
        mustBe(kind, type, path);
        if (kind.variable) {
            checkServers(r, kind.variable, raw, path);
            return false;
        }
        if (kind.check) {
            kind.check(raw);
        }
        out.push(raw);
        return true;
    }

    function items(kind, path) {
        mustBe(kind, 'list', path);
        out.push('[');
        at++;
        if (blank() === CLOSE_LIST) {
            at++;
        } else {
            for (;;) {
                value(kind.items, kind.items === FREE ? path : path + '[]');
                if (blank() !== COMMA) {
                    break;
                }
                out.push(',');
                at++;
            }
            expect(CLOSE_LIST);
        }
        out.push(']');
        return true;
    }

    function member(kind, path, seen) {
        if (blank() !== QUOTE) {
            broken();
        }
        const raw = string(), key = JSON.parse(raw);
        // Within what is free the path does not grow: the keys there are the caller's, of any length.
        const own = !kind.keys ? path : path === '' ? key : path + '.' + key;
        const twin = '$' + folded(key);
        if (seen[twin]) {
            refuse('The key ' + shown(key) + ' stands twice, in one case or two.');
        }
        seen[twin] = true;
        if (kind.keys && !Object.prototype.hasOwnProperty.call(kind.keys, key)) {
            refuse('The key ' + shown(own) + ' is not let through: leave it out, or write it as Ollama\'s API has it.');
        }
        expect(COLON);
        const before = out.length;
        out.push(before && out[before - 1] !== '{' ? ',' : '', kind.keys ? JSON.stringify(key) : raw, ':');
        if (!value(kind.keys ? kind.keys[key] : FREE, own)) {
            out.length = before;
        }
    }

    function members(kind, path) {
        mustBe(kind, 'object', path);
        const seen = {};
        out.push('{');
        at++;
        if (blank() === CLOSE_OBJECT) {
            at++;
        } else {
            for (;;) {
                member(kind, path, seen);
                if (blank() !== COMMA) {
                    break;
                }
                at++;
            }
            expect(CLOSE_OBJECT);
        }
        out.push('}');
        return true;
    }

    function nested(read, kind, path) {
        depth++;
        if (depth > MAX_DEPTH) {
            refuse('The body is nested more than ' + MAX_DEPTH + ' deep.');
        }
        const goes_on = read(kind, path);
        depth--;
        return goes_on;
    }

    function value(kind, path) {
        values++;
        if (values > MAX_VALUES) {
            refuse('The body has more than ' + MAX_VALUES + ' values.');
        }
        switch (blank()) {
        case QUOTE: return scalar(kind, 'string', string(), path);
        case OPEN_OBJECT: return nested(members, kind, path);
        case OPEN_LIST: return nested(items, kind, path);
        case 0x74: return scalar(kind, 'boolean', word('true'), path);
        case 0x66: return scalar(kind, 'boolean', word('false'), path);
        case 0x6e: return scalar(kind, 'null', word('null'), path);
        default: return scalar(kind, 'number', number(), path);
        }
    }

    return {
        whole: function (kind) {
            value(kind, '');
            if (blank() !== undefined) {
                broken();
            }
            return out.join('');
        }
    };
}

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

function filter(r) {
    try {
        r.variables.gateway_body = reader(r, body(r)).whole(ROUTES[r.uri]);
    } catch (error) {
        if (!error.status) {
            // Never its text: it could have a piece of the body in it.
            r.error('the filter failed');
        }
        r.headersOut['Content-Type'] = 'application/json';
        r.return(error.status || 500, JSON.stringify({error: error.status ? error.message : 'The filter failed.'}));
        return;
    }
    r.internalRedirect('@ollama');
}

export default {filter};
