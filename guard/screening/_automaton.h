/* The automaton: its tables, how it steps, and how it is made of literals (Aho and Corasick, 1975). */
#ifndef GUARD_AUTOMATON_H
#define GUARD_AUTOMATON_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { BLANK = 0, OTHER = 38, CLASSES = 39, NONE = -1 };
enum { ENDS = CLASSES, FAIL, STRIDE, SHALLOW = 2 };
enum { BEFORE = 1, AFTER = 2 };
#define LIKELY(true_) __builtin_expect(!!(true_), 1)
#define INLINE static inline __attribute__((always_inline))

/* ASCII by class: letters, digits, the underscore, capitals (which folded text has none of), and all else a blank. */
static uint8_t class_of[128];

static void fill_classes(void)
{
    for (int point = 'a'; point <= 'z'; point++)
        class_of[point] = (uint8_t)(point - 'a' + 1);
    for (int point = '0'; point <= '9'; point++)
        class_of[point] = (uint8_t)(point - '0' + 27);
    class_of['_'] = 37;
    for (int point = 'A'; point <= 'Z'; point++)
        class_of[point] = OTHER;
}

/* A class, or the character itself where it is no ASCII and part of a word. */
static inline uint32_t symbol_of(Py_UCS4 point)
{
    if (point < 128)
        return class_of[point];
    return Py_UNICODE_ISALNUM(point) ? point : BLANK;
}

/* A state is a node of the trie. Where several may follow, or few characters have been read, it is the place of a row in
 * `rows`, which says for every class where that leads (and at ENDS and FAIL the same as in a Twig); others stand behind
 * the last row, in `twigs`, have one edge at most and leave the rest to the state of their longest proper suffix. Edges
 * of characters beyond ASCII are in a table of their own. Where an edge leads is written as the state twice, and one more
 * if a literal ends there: so that most characters cost one look. */
typedef struct {
    int32_t next, fail;
    uint32_t symbol; /* of the one edge, which leads to `next` */
    int32_t ends;    /* where the literals that end here begin in `ends`; NONE: there are none */
} Twig;

typedef struct { int32_t state; uint32_t symbol; int32_t next; } Edge;

typedef struct {
    Py_UCS4 *text;     /* NULL: what the walk finds is the literal itself */
    int32_t length;
    uint8_t right;
    int32_t anchors, anchors_end; /* in `anchors`: the places that the caller knows it by */
    int32_t phrases;              /* the rules' exempt phrases name it */
    uint8_t *groups;              /* bit set of the groups of context words that it is in; NULL: of none */
} Literal;

typedef struct { int32_t group, within, where, wanted; } Context;

typedef struct {
    uint32_t sources;
    int32_t every;                      /* every match counts, not the first alone */
    int32_t contexts, contexts_end;     /* those required, then those forbidden */
    int32_t phrases, phrases_end;
} Rule;

typedef struct { int32_t literal; Py_ssize_t start, end; } Found;
typedef struct Words Words;
typedef struct Gates Gates;

typedef struct {
    PyObject_HEAD
    int32_t *rows;
    int32_t first_twig; /* states from here on have no row */
    Twig *twigs;
    Edge *edges;
    uint32_t edge_mask;
    int32_t *ends; /* lists of literals, the longest first, each closed by NONE */
    Literal *literals;
    int32_t *anchors, *rule_of, *phrases;
    Context *contexts;
    Rule *rules;
    Py_ssize_t literal_count, anchor_count, rule_count;
    uint32_t *fired; /* by rule: the call in which it fired last */
    uint32_t call;
    Words *words;    /* NULL: no proof by words, because anchors are not all bounded */
    Gates *gates;    /* NULL: no patterns */
    PyObject *sift;  /* what tells whether a pattern may match in a folded text, where the gates cannot exclude it */
    Found *found;    /* of the text at hand: room that is kept from one to the next */
    size_t room;
} Anchors;
static inline uint32_t slot_of(const Anchors *self, int32_t state, uint32_t symbol)
{
    return ((uint32_t)state * 0x9E3779B1u ^ symbol * 0x85EBCA6Bu) & self->edge_mask;
}

/* Where a character beyond ASCII leads. */
static int32_t beyond(const Anchors *self, int32_t state, uint32_t symbol)
{
    for (;;) {
        for (uint32_t at = slot_of(self, state, symbol); self->edges[at].next != NONE; at = (at + 1) & self->edge_mask)
            if (self->edges[at].state == state && self->edges[at].symbol == symbol)
                return self->edges[at].next;
        if (!state)
            return 0;
        state = state < self->first_twig ? self->rows[state + FAIL] : self->twigs[state - self->first_twig].fail;
    }
}

/* Where a character leads: the state twice, and one more if a literal ends there. */
INLINE int32_t step(const Anchors *self, int32_t state, uint32_t symbol)
{
    if (!LIKELY(symbol < CLASSES))
        return beyond(self, state, symbol);
    while (state >= self->first_twig) {
        const Twig *twig = &self->twigs[state - self->first_twig];
        if (twig->symbol == symbol)
            return twig->next;
        state = twig->fail;
    }
    return self->rows[state + (int32_t)symbol];
}

static int32_t ends_at(const Anchors *self, int32_t state)
{
    return state < self->first_twig ? self->rows[state + ENDS] : self->twigs[state - self->first_twig].ends;
}

/* ---- The making ---- */

typedef struct { int32_t child, sibling, fail, own, depth, code; uint32_t symbol; } Node; /* of the trie, as it grows */

typedef struct {
    Node *nodes;
    int32_t *own, *order, *lengths; /* the next literal that ends alike; nodes, the shallowest first; of lists of ends */
    Py_ssize_t count;
} Trie;

static int32_t grown(Trie *trie, int32_t node, uint32_t symbol)
{
    int32_t child = trie->nodes[node].child;
    while (child != NONE && trie->nodes[child].symbol != symbol)
        child = trie->nodes[child].sibling;
    if (child == NONE) {
        child = (int32_t)trie->count++;
        trie->nodes[child] = (Node){NONE, trie->nodes[node].child, 0, NONE, trie->nodes[node].depth + 1, 0, symbol};
        trie->nodes[node].child = child;
    }
    return child;
}

static void *room_for(Py_ssize_t count, size_t size)
{
    void *room = PyMem_Calloc((size_t)count + 1, size);
    if (!room)
        PyErr_NoMemory();
    return room;
}

/* Put nodes in order, and say which state each is. */
static int name_states(Anchors *self, Trie *trie)
{
    Node *nodes = trie->nodes;
    Py_ssize_t rows = 0, twigs = 0, edges = 0, filled = 1;
    trie->order[0] = 0;
    for (Py_ssize_t at = 0; at < filled; at++) {
        Node *node = &nodes[trie->order[at]];
        int narrow = 0;
        for (int32_t child = node->child; child != NONE; child = nodes[child].sibling) {
            trie->order[filled++] = child;
            narrow += nodes[child].symbol < CLASSES;
            edges += nodes[child].symbol >= CLASSES;
        }
        node->code = narrow > 1 || node->depth <= SHALLOW ? (int32_t)rows++ * STRIDE : ~(int32_t)twigs++;
    }
    self->first_twig = (int32_t)rows * STRIDE;
    uint32_t size = 8;
    while (size < 2 * (uint32_t)edges + 2)
        size *= 2;
    self->edge_mask = size - 1;
    if (!(self->rows = room_for(rows * STRIDE, sizeof *self->rows)) || !(self->twigs = room_for(twigs, sizeof(Twig))) ||
        !(self->edges = room_for(size, sizeof *self->edges)))
        return -1;
    for (uint32_t at = 0; at < size; at++)
        self->edges[at].next = NONE;
    for (Py_ssize_t at = 0; at < filled; at++)
        if (nodes[at].code < 0)
            nodes[at].code = self->first_twig + ~nodes[at].code;
    return 0;
}

/* Suffixes and edges, from the root on: a suffix is shallower than what it is one of, so it is complete when it is asked
 * for. */
static int link_states(Anchors *self, Trie *trie)
{
    Node *nodes = trie->nodes;
    Py_ssize_t listed = 0;
    for (Py_ssize_t at = 0; at < trie->count; at++) { /* what ends where: a suffix' literals end there too */
        int32_t number = trie->order[at];
        for (int32_t one = nodes[number].own; one != NONE; one = trie->own[one])
            trie->lengths[number]++;
        if (number)
            trie->lengths[number] += trie->lengths[nodes[number].fail];
        listed += trie->lengths[number] ? trie->lengths[number] + 1 : 0;
        /* The suffixes of the children: the nearest suffix of the node that goes on with the child's character. */
        for (int32_t child = nodes[number].child; child != NONE; child = nodes[child].sibling) {
            int32_t fail = nodes[number].fail, found = number ? NONE : 0;
            while (found == NONE) {
                found = nodes[fail].child;
                while (found != NONE && nodes[found].symbol != nodes[child].symbol)
                    found = nodes[found].sibling;
                if (found == NONE && !fail)
                    found = 0;
                fail = nodes[fail].fail;
            }
            nodes[child].fail = found;
        }
    }
    if (!(self->ends = room_for(listed, sizeof *self->ends)))
        return -1;
    int32_t next = 0;
    for (Py_ssize_t at = 0; at < trie->count; at++) {
        int32_t number = trie->order[at], state = nodes[number].code, ends = NONE;
        int32_t fail = nodes[nodes[number].fail].code;
        if (trie->lengths[number]) {
            ends = next;
            for (int32_t one = nodes[number].own; one != NONE; one = trie->own[one])
                self->ends[next++] = one;
            int32_t rest = number ? ends_at(self, fail) : NONE;
            for (; rest != NONE && self->ends[rest] != NONE; rest++)
                self->ends[next++] = self->ends[rest];
            self->ends[next++] = NONE;
        }
        if (state < self->first_twig) {
            for (uint32_t symbol = 0; symbol < CLASSES; symbol++)
                self->rows[state + (int32_t)symbol] = number ? step(self, fail, symbol) : 0;
            self->rows[state + ENDS] = ends;
            self->rows[state + FAIL] = fail;
        } else {
            self->twigs[state - self->first_twig] = (Twig){0, fail, UINT32_MAX, ends};
        }
        for (int32_t child = nodes[number].child; child != NONE; child = nodes[child].sibling) {
            uint32_t symbol = nodes[child].symbol;
            int32_t leads = 2 * nodes[child].code + !!trie->lengths[child];
            if (symbol >= CLASSES) {
                uint32_t slot = slot_of(self, state, symbol);
                while (self->edges[slot].next != NONE)
                    slot = (slot + 1) & self->edge_mask;
                self->edges[slot] = (Edge){state, symbol, leads};
            } else if (state < self->first_twig) {
                self->rows[state + (int32_t)symbol] = leads;
            } else {
                self->twigs[state - self->first_twig].symbol = symbol;
                self->twigs[state - self->first_twig].next = leads;
            }
        }
    }
    return 0;
}

/* A row of a table, NULL with an error if it is none. */
static PyObject *row_of(PyObject *table, Py_ssize_t at)
{
    PyObject *row = PyList_GET_ITEM(table, at);
    if (PyTuple_Check(row))
        return row;
    PyErr_SetString(PyExc_TypeError, "a row of a table is a tuple");
    return NULL;
}

static int plant(Anchors *self, PyObject *literals)
{
    Py_ssize_t total = 2;
    for (Py_ssize_t at = 0; at < self->literal_count; at++) {
        PyObject *text, *row;
        int left, right;
        if (!(row = row_of(literals, at)) || !PyArg_ParseTuple(row, "Upp", &text, &left, &right))
            return -1;
        if (!PyUnicode_GET_LENGTH(text)) {
            PyErr_SetString(PyExc_ValueError, "a literal without a character");
            return -1;
        }
        total += PyUnicode_GET_LENGTH(text) + 2;
    }
    if (total > INT32_MAX / 2) {
        PyErr_SetString(PyExc_ValueError, "more literals than can be counted");
        return -1;
    }
    Trie trie = {room_for(total, sizeof(Node)), room_for(self->literal_count, sizeof(int32_t)),
                 room_for(total, sizeof(int32_t)), room_for(total, sizeof(int32_t)), 1};
    int done = -1;
    if (!trie.nodes || !trie.own || !trie.order || !trie.lengths)
        goto out;
    trie.nodes[0] = (Node){NONE, NONE, 0, NONE, 0, 0, 0};
    for (Py_ssize_t at = self->literal_count - 1; at >= 0; at--) { /* lists grow at their front */
        PyObject *text, *row;
        int left, right, exact = 0;
        if (!(row = row_of(literals, at)) || !PyArg_ParseTuple(row, "Upp", &text, &left, &right))
            goto out;
        Literal *literal = &self->literals[at];
        literal->length = (int32_t)PyUnicode_GET_LENGTH(text);
        literal->right = (uint8_t)right;
        int32_t node = left ? grown(&trie, 0, BLANK) : 0;
        for (Py_ssize_t place = 0; place < literal->length; place++) {
            uint32_t symbol = symbol_of(PyUnicode_READ_CHAR(text, place));
            exact |= symbol == BLANK || symbol == OTHER;
            node = grown(&trie, node, symbol);
        }
        if (right)
            node = grown(&trie, node, BLANK);
        if (exact && !(literal->text = PyUnicode_AsUCS4Copy(text)))
            goto out;
        trie.own[at] = trie.nodes[node].own;
        trie.nodes[node].own = (int32_t)at;
    }
    done = name_states(self, &trie) < 0 ? -1 : link_states(self, &trie);
out:
    PyMem_Free(trie.nodes);
    PyMem_Free(trie.own);
    PyMem_Free(trie.order);
    PyMem_Free(trie.lengths);
    return done;
}

static int place_of(PyObject *number, Py_ssize_t count, int32_t *place)
{
    Py_ssize_t found = PyLong_AsSsize_t(number);
    if (found < 0 || found >= count) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "a place that is none");
        return -1;
    }
    *place = (int32_t)found;
    return 0;
}

/* anchors: (literal, rule) each; literals come in by their place. */
static int take_anchors(Anchors *self, PyObject *anchors)
{
    self->anchor_count = PyList_GET_SIZE(anchors);
    self->anchors = room_for(self->anchor_count, sizeof *self->anchors);
    self->rule_of = room_for(self->anchor_count, sizeof *self->rule_of);
    int32_t *literals = room_for(self->anchor_count, sizeof *literals);
    int done = -1;
    if (!self->anchors || !self->rule_of || !literals)
        goto out;
    for (Py_ssize_t at = 0; at < self->anchor_count; at++) {
        PyObject *literal, *rule, *row;
        if (!(row = row_of(anchors, at)) || !PyArg_ParseTuple(row, "OO", &literal, &rule) ||
            place_of(literal, self->literal_count, &literals[at]) < 0 ||
            place_of(rule, self->rule_count, &self->rule_of[at]) < 0)
            goto out;
        self->literals[literals[at]].anchors_end++;
    }
    int32_t next = 0;
    for (Py_ssize_t at = 0; at < self->literal_count; at++) {
        Literal *literal = &self->literals[at];
        int32_t its = literal->anchors_end;
        literal->anchors = literal->anchors_end = next;
        next += its;
    }
    for (Py_ssize_t at = 0; at < self->anchor_count; at++)
        self->anchors[self->literals[literals[at]].anchors_end++] = (int32_t)at;
    done = 0;
out:
    PyMem_Free(literals);
    return done;
}

/* groups: lists of literals each. */
static int take_groups(Anchors *self, PyObject *groups)
{
    Py_ssize_t count = PyList_GET_SIZE(groups);
    for (Py_ssize_t group = 0; group < count; group++) {
        PyObject *its = PyList_GET_ITEM(groups, group);
        if (!PyList_Check(its)) {
            PyErr_SetString(PyExc_TypeError, "a group is a list");
            return -1;
        }
        for (Py_ssize_t at = 0; at < PyList_GET_SIZE(its); at++) {
            int32_t place;
            if (place_of(PyList_GET_ITEM(its, at), self->literal_count, &place) < 0)
                return -1;
            Literal *literal = &self->literals[place];
            if (!literal->groups && !(literal->groups = room_for(count / 8, 1)))
                return -1;
            literal->groups[group >> 3] |= (uint8_t)(1 << (group & 7));
        }
    }
    return 0;
}

/* rules: (sources, every, [(group, within, where, wanted)], [literal of a phrase]) each. */
static int take_rules(Anchors *self, PyObject *rules, Py_ssize_t groups)
{
    Py_ssize_t contexts = 0, phrases = 0;
    for (int fill = 0; fill < 2; fill++) {
        if (fill && (!(self->contexts = room_for(contexts, sizeof *self->contexts)) ||
                     !(self->phrases = room_for(phrases, sizeof *self->phrases))))
            return -1;
        contexts = phrases = 0;
        for (Py_ssize_t at = 0; at < self->rule_count; at++) {
            PyObject *around, *exempted, *row;
            unsigned int sources;
            int every;
            if (!(row = row_of(rules, at)) || !PyArg_ParseTuple(row, "IpO!O!", &sources, &every, &PyList_Type, &around,
                                  &PyList_Type, &exempted))
                return -1;
            Rule *rule = &self->rules[at];
            *rule = (Rule){sources, every, (int32_t)contexts, 0, (int32_t)phrases, 0};
            for (Py_ssize_t place = 0; fill && place < PyList_GET_SIZE(around); place++) {
                Context *context = &self->contexts[contexts + place];
                if (!(row = row_of(around, place)) || !PyArg_ParseTuple(row, "iiip", &context->group, &context->within,
                                      &context->where, &context->wanted))
                    return -1;
                if (context->group < 0 || context->group >= groups || context->within < 0) {
                    PyErr_SetString(PyExc_ValueError, "a context that is none");
                    return -1;
                }
            }
            for (Py_ssize_t place = 0; fill && place < PyList_GET_SIZE(exempted); place++)
                if (place_of(PyList_GET_ITEM(exempted, place), self->literal_count, &self->phrases[phrases + place]) < 0)
                    return -1;
            contexts += PyList_GET_SIZE(around);
            phrases += PyList_GET_SIZE(exempted);
            rule->contexts_end = (int32_t)contexts;
            rule->phrases_end = (int32_t)phrases;
        }
    }
    return 0;
}

#endif
