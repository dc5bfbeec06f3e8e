/* The proof that nothing fires, from the words of a text: at each where one begins a few hashes say that no anchor does,
 * and no pattern. The words around the few anchors that occur tell whether all that their rules require is there. Where it
 * is, this proves nothing, and the text is walked. */
#ifndef GUARD_WORDS_H
#define GUARD_WORDS_H

#include "_automaton.h"
#include "_lanes.h"

enum { KEYS = 3, HASHED = 2, FILTER = 1 << 16, DEPTH = 6, SURE = 4, COLUMNS = 130 };
static const int key_sizes[KEYS] = {8, 4, 2}; /* the first HASHED are worked out for every word */

typedef struct { uint32_t hash; int32_t literal; } Slot;

/* Literals by what they begin with. */
typedef struct {
    Slot *slots;
    uint32_t mask;
    uint8_t kinds; /* bits of the keys that are used */
} Table;

typedef struct {
    Table table;
    int32_t *loose; /* those that no word begins with, closed by NONE */
} Group;

/* A literal as a view shows it, from its first word on, with the boundary behind; as it is written where its `lead`, the
 * sign before that word, is NONE: no word begins with it. */
typedef struct { uint8_t *body; int32_t size, lead, key; uint8_t wide; } Shown;

typedef struct { int32_t at; uint32_t hashes[HASHED]; } Start;

struct Words {
    uint64_t filter[FILTER / 64];
    Table anchors;
    Group *groups;
    Py_ssize_t group_count, literal_count;
    Shown *shown;
};

/* Patterns that begin with a word, some to a bit, by what may stand at the first places of a match; and the characters
 * without which none of the others matches. */
struct Gates {
    uint64_t places[DEPTH][COLUMNS];
    uint8_t tells[COLUMNS];
    int some_tell;
};

static inline uint64_t eight_at(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
#if PY_BIG_ENDIAN
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The hash of as many octets as a key has. */
static inline uint32_t hash_of(uint64_t word, int key)
{
    switch (key) {
    case 0: return (uint32_t)(word * 0x9E3779B97F4A7C15u >> 32);
    case 1: return (uint32_t)((word & 0xFFFFFFFFu) * 0xD6E8FEB86659FD93u >> 32);
    default: return (uint32_t)((word & 0xFFFFu) * 0xA0761D6478BD642Fu >> 32);
    }
}

/* ---- The making ---- */

static int show(const Literal *literal, PyObject *text, int left, Shown *shown)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    shown->lead = !left;
    shown->key = NONE;
    shown->size = (int32_t)length - shown->lead + literal->right;
    if (!(shown->body = PyMem_Calloc((size_t)length + 16, 1))) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t at = 0; at < length; at++) {
        Py_UCS4 point = PyUnicode_READ_CHAR(text, at);
        uint32_t symbol = symbol_of(point);
        shown->wide |= point >= 128;
        if (point >= 128 && symbol != BLANK)
            shown->lead = NONE;
        if (at < shown->lead ? symbol != BLANK : at == shown->lead && symbol == BLANK)
            shown->lead = NONE; /* it begins within a word, or with more than one sign */
        if (shown->lead != NONE && at >= shown->lead)
            shown->body[at - shown->lead] = symbol == BLANK ? ' ' : (uint8_t)point;
    }
    if (shown->lead == NONE) {
        for (Py_ssize_t at = 0; at < length; at++)
            shown->body[at] = (uint8_t)PyUnicode_READ_CHAR(text, at);
        return 0;
    }
    if (literal->right)
        shown->body[length - shown->lead] = ' ';
    for (int key = KEYS - 1; key >= 0; key--)
        if (shown->size >= key_sizes[key])
            shown->key = key;
    return 0;
}

static int make_table(Table *table, Py_ssize_t count)
{
    uint32_t size = 8;
    while (size < 4 * (uint32_t)count)
        size *= 2;
    if (!(table->slots = room_for(size, sizeof *table->slots)))
        return -1;
    table->mask = size - 1;
    for (uint32_t at = 0; at < size; at++)
        table->slots[at].literal = NONE;
    return 0;
}

static uint32_t enter(Table *table, uint64_t word, int key, int32_t literal)
{
    uint32_t hash = hash_of(word, key), at = hash & table->mask;
    while (table->slots[at].literal != NONE)
        at = (at + 1) & table->mask;
    table->slots[at] = (Slot){hash, literal};
    table->kinds |= (uint8_t)(1 << key);
    return hash;
}

static void enter_anchor(Words *words, uint64_t word, int key, int32_t literal)
{
    uint32_t hash = enter(&words->anchors, word, key, literal);
    words->filter[hash >> 22] |= (uint64_t)1 << (hash >> 16 & 63);
}

static void forget_words(Words *words)
{
    if (!words)
        return;
    for (Py_ssize_t at = 0; words->shown && at < words->literal_count; at++)
        PyMem_Free(words->shown[at].body);
    for (Py_ssize_t at = 0; words->groups && at < words->group_count; at++) {
        PyMem_Free(words->groups[at].table.slots);
        PyMem_Free(words->groups[at].loose);
    }
    PyMem_Free(words->anchors.slots);
    PyMem_Free(words->groups);
    PyMem_Free(words->shown);
    PyMem_Free(words);
}

/* How many anchors have three octets, at most. */
static Py_ssize_t short_anchors(const Anchors *self)
{
    Py_ssize_t count = 0;
    for (Py_ssize_t at = 0; at < self->literal_count; at++)
        count += self->literals[at].length <= 3 && self->literals[at].anchors < self->literals[at].anchors_end;
    return count;
}

/* Returns -1 on an error. Where an anchor begins within a word, or with no word at all, there is no such proof. */
static int make_words(Anchors *self, PyObject *literals, PyObject *groups)
{
    Words *words = self->words = room_for(1, sizeof *words);
    if (!words)
        return -1;
    words->literal_count = self->literal_count;
    words->group_count = PyList_GET_SIZE(groups);
    if (!(words->shown = room_for(words->literal_count, sizeof *words->shown)) ||
        !(words->groups = room_for(words->group_count, sizeof *words->groups)) ||
        make_table(&words->anchors, self->anchor_count + COLUMNS * short_anchors(self)) < 0)
        return -1;
    for (Py_ssize_t at = 0; at < self->literal_count; at++) {
        const Literal *literal = &self->literals[at];
        PyObject *row = PyList_GET_ITEM(literals, at);
        if (show(literal, PyTuple_GET_ITEM(row, 0), PyObject_IsTrue(PyTuple_GET_ITEM(row, 1)), &words->shown[at]) < 0)
            return -1;
        if (literal->anchors == literal->anchors_end)
            continue;
        const Shown *shown = &words->shown[at];
        if (shown->key == NONE || shown->size < 3) {
            forget_words(words);
            self->words = NULL;
            return 0;
        }
        uint64_t word = eight_at(shown->body);
        if (shown->key < HASHED)
            enter_anchor(words, word, shown->key, (int32_t)at);
        else /* of three octets: with every fourth */
            for (uint64_t last = 0; last < COLUMNS; last++)
                enter_anchor(words, (word & 0xFFFFFF) | last << 24, 1, (int32_t)at);
    }
    for (Py_ssize_t number = 0; number < words->group_count; number++) {
        Group *group = &words->groups[number];
        PyObject *its = PyList_GET_ITEM(groups, number);
        Py_ssize_t count = PyList_GET_SIZE(its), loose = 0;
        if (make_table(&group->table, count) < 0 || !(group->loose = room_for(count, sizeof *group->loose)))
            return -1;
        for (Py_ssize_t at = 0; at < count; at++) {
            int32_t literal = (int32_t)PyLong_AsLong(PyList_GET_ITEM(its, at));
            if (words->shown[literal].key == NONE)
                group->loose[loose++] = literal;
            else
                enter(&group->table, eight_at(words->shown[literal].body), words->shown[literal].key, literal);
        }
        group->loose[loose] = NONE;
    }
    return 0;
}

/* starts: for each pattern that begins with a word, COLUMNS octets for each of its first places, not 0 where a character
 * may stand; tells: COLUMNS octets. */
static int make_gates(Anchors *self, PyObject *starts, PyObject *tells)
{
    Gates *gates = self->gates = room_for(1, sizeof *gates);
    if (!gates)
        return -1;
    if (!PyList_Check(starts) || !PyBytes_Check(tells) || PyBytes_GET_SIZE(tells) != COLUMNS) {
        PyErr_SetString(PyExc_TypeError, "gates are a list and octets");
        return -1;
    }
    for (int column = 0; column < COLUMNS; column++) {
        gates->tells[column] = !!PyBytes_AS_STRING(tells)[column];
        gates->some_tell |= gates->tells[column];
    }
    Py_ssize_t count = PyList_GET_SIZE(starts);
    for (Py_ssize_t at = 0; at < count; at++) {
        PyObject *places = PyList_GET_ITEM(starts, at);
        if (!PyBytes_Check(places) || PyBytes_GET_SIZE(places) != DEPTH * COLUMNS) {
            PyErr_SetString(PyExc_TypeError, "a gate is octets");
            return -1;
        }
        for (int place = 0; place < DEPTH; place++)
            for (int column = 0; column < COLUMNS; column++)
                if (PyBytes_AS_STRING(places)[place * COLUMNS + column])
                    gates->places[place][column] |= (uint64_t)1 << (64 * at / count);
    }
    return 0;
}

/* ---- The proof ---- */

/* A text, folded, in the forms in which it is looked at. */
typedef struct {
    PyObject *text;
    const uint8_t *octets; /* with a NUL behind */
    uint8_t *view;         /* with blanks behind */
    Py_ssize_t length;
    Start *starts;
    Py_ssize_t count;
} Reading;

/* See where words begin. */
static void see_words(Reading *reading)
{
    uint64_t in_word = 0;
    Py_ssize_t length = reading->length;
    Start *put = reading->starts;
    for (Py_ssize_t base = 0; base < length; base += SPAN) {
        uint8_t room[SPAN + 16];
        const uint8_t *from = span_at(reading->octets, base, length, room);
        uint64_t words = 0;
        for (int at = 0; at < SPAN; at += 16) {
            Lane lane = lane_at(from + at);
            Lane word = between(lane, 'a', 'z') | between(lane, '0', '9') | (Lane)(lane == '_');
            Lane kept = word | (Lane)(lane == (int8_t)WIDE_WORD), seen = (lane & kept) | (~kept & ' ');
            memcpy(reading->view + base + at, &seen, sizeof seen);
            words |= bits_of(word) << at;
        }
        for (uint64_t bits = words & ~(words << 1 | in_word); bits; bits &= bits - 1)
            put++->at = (int32_t)base + __builtin_ctzll(bits);
        in_word = words >> 63;
    }
    memset(reading->view + length, ' ', 16);
    reading->count = put - reading->starts;
}

static inline int begins(const Gates *gates, const uint8_t *from, Py_ssize_t left)
{
    uint64_t open = ~(uint64_t)0;
    int place = 0;
    if (left > SURE) /* no branch before the answer is almost always the same */
        for (; place < SURE; place++)
            open &= gates->places[place][from[place]];
    for (; open && place < DEPTH; place++) {
        open &= gates->places[place][from[place]];
        if (!from[place])
            break;
    }
    return open != 0;
}

/* Whether a pattern may match: at a word, or because a character is there that tells. */
static int may_match(const Gates *gates, const Reading *reading)
{
    uint8_t told = 0;
    if (gates->some_tell)
        for (Py_ssize_t at = 0; at < reading->length; at++)
            told |= gates->tells[reading->octets[at]];
    if (told)
        return 1;
    for (const Start *start = reading->starts, *end = start + reading->count; start < end; start++)
        if (begins(gates, reading->octets + start->at, reading->length - start->at))
            return 1;
    return 0;
}

/* Whether a literal stands where a word begins, as the view shows it and by its characters (-1: as the view shows it). */
static inline int stands(const Anchors *self, const Reading *reading, Py_ssize_t at, int32_t number)
{
    const Shown *shown = &self->words->shown[number];
    const Literal *literal = &self->literals[number];
    Py_ssize_t start = at - shown->lead;
    if (at + shown->size > reading->length + 1 || memcmp(reading->view + at, shown->body, (size_t)shown->size) ||
        start < 0 || start + literal->length > reading->length || (at && reading->view[at - 1] == WIDE_WORD))
        return 0;
    if (!literal->text)
        return 1;
    int kind = PyUnicode_KIND(reading->text);
    const void *data = PyUnicode_DATA(reading->text);
    for (int32_t place = 0; place < literal->length; place++)
        if (PyUnicode_READ(kind, data, start + place) != literal->text[place])
            return -1;
    return 1;
}

static int is_within(const Anchors *self, const Reading *reading, const Group *group, Py_ssize_t from, Py_ssize_t low,
                     Py_ssize_t high)
{
    const Words *words = self->words;
    /* The first word that begins behind `low`, and a sign before it does not. */
    while (from > 0 && reading->starts[from - 1].at >= low)
        from--;
    while (from < reading->count && reading->starts[from].at < low)
        from++;
    for (; from < reading->count && reading->starts[from].at < high; from++) {
        const Start *start = &reading->starts[from];
        for (int key = 0; key < KEYS; key++) {
            if (!(group->table.kinds >> key & 1))
                continue;
            uint32_t hash = key < HASHED ? start->hashes[key] : hash_of(eight_at(reading->view + start->at), key);
            uint32_t at = hash & group->table.mask;
            for (; group->table.slots[at].literal != NONE; at = (at + 1) & group->table.mask) {
                int32_t number = group->table.slots[at].literal;
                if (group->table.slots[at].hash != hash || words->shown[number].key != key)
                    continue;
                Py_ssize_t begin = start->at - words->shown[number].lead;
                if (begin >= low && begin + self->literals[number].length <= high &&
                    stands(self, reading, start->at, number) == 1)
                    return 1;
            }
        }
    }
    high = Py_MIN(high, reading->length);
    for (const int32_t *loose = group->loose; *loose != NONE; loose++) {
        const Shown *shown = &words->shown[*loose];
        const Literal *literal = &self->literals[*loose];
        if (shown->wide || shown->lead != NONE) {
            if (!shown->wide || !PyUnicode_IS_ASCII(reading->text))
                return 1; /* not looked for here: it may be there */
            continue;
        }
        for (Py_ssize_t at = low; at + literal->length <= high; at++)
            if (!memcmp(reading->octets + at, shown->body, (size_t)literal->length))
                return 1;
    }
    return 0;
}

/* Whether something that the rule of an anchor requires is not there. `word` is the anchor's place in `starts`. */
static int lacks(const Anchors *self, const Reading *reading, const Rule *rule, Py_ssize_t word, Py_ssize_t start,
                 Py_ssize_t end)
{
    for (int32_t place = rule->contexts; place < rule->contexts_end; place++) {
        const Context *context = &self->contexts[place];
        if (!context->wanted)
            continue;
        const Group *group = &self->words->groups[context->group];
        Py_ssize_t low = start > context->within ? start - context->within : 0;
        if (context->where != AFTER && is_within(self, reading, group, word, low, start))
            continue;
        if (context->where != BEFORE && is_within(self, reading, group, word, end, end + context->within))
            continue;
        return 1;
    }
    return 0;
}

/* Returns how many anchors there are, if surely none fires; -1: one may, or there are more than `most`. */
static Py_ssize_t quiet_words(const Anchors *self, Reading *reading, uint32_t sources, Py_ssize_t most)
{
    enum { MOST_HITS = 64 };
    const Words *words = self->words;
    struct { Py_ssize_t word; int32_t literal; } hits[MOST_HITS];
    Py_ssize_t counted = 0;
    int hit_count = 0;
    for (Py_ssize_t word = 0; word < reading->count; word++) {
        Start *start = &reading->starts[word];
        uint64_t said = eight_at(reading->view + start->at), maybe = 0;
        for (int key = 0; key < HASHED; key++) {
            uint32_t hash = start->hashes[key] = hash_of(said, key);
            maybe |= words->filter[hash >> 22] >> (hash >> 16 & 63);
        }
        if (LIKELY(!(maybe & 1)))
            continue;
        for (int key = 0; key < HASHED; key++) {
            uint32_t hash = start->hashes[key], at = hash & words->anchors.mask;
            for (; words->anchors.slots[at].literal != NONE; at = (at + 1) & words->anchors.mask) {
                int32_t number = words->anchors.slots[at].literal;
                if (words->anchors.slots[at].hash != hash)
                    continue;
                int there = stands(self, reading, start->at, number);
                if (!there)
                    continue;
                if (++counted > most || hit_count == MOST_HITS)
                    return -1;
                if (there == 1) {
                    hits[hit_count].word = word;
                    hits[hit_count++].literal = number;
                }
            }
        }
    }
    for (int hit = 0; hit < hit_count; hit++) {
        const Literal *literal = &self->literals[hits[hit].literal];
        Py_ssize_t start = reading->starts[hits[hit].word].at - words->shown[hits[hit].literal].lead;
        for (int32_t place = literal->anchors; place < literal->anchors_end; place++) {
            const Rule *rule = &self->rules[self->rule_of[self->anchors[place]]];
            if (rule->sources & sources &&
                !lacks(self, reading, rule, hits[hit].word, start, start + literal->length))
                return -1;
        }
    }
    return counted;
}

/* Whether the view of a text shows letters that stand alone, or digits among letters, as ruleset.py looks for. */
static int view_tells(const Reading *reading)
{
    const uint8_t *view = reading->view;
    Py_ssize_t alone = 0, last = 0;
    for (Py_ssize_t word = 0; word < reading->count; word++) {
        Py_ssize_t at = reading->starts[word].at;
        if (view[at + 1] == ' ' && (!at || view[at - 1] == ' ')) {
            alone = alone && at == last + 2 ? alone + 1 : 1;
            last = at;
            if (alone == 4)
                return 1;
        } else {
            alone = 0;
        }
    }
    uint64_t letter_before = 0;
    for (Py_ssize_t base = 0; base < reading->length; base += SPAN) {
        uint64_t letters = 0, digits = 0;
        for (int at = 0; at < SPAN; at += 16) {
            Lane lane = lane_at(view + base + at);
            letters |= bits_of(between(lane, 'a', 'z')) << at;
            digits |= bits_of(between(lane, '0', '7')) << at;
        }
        uint64_t among = digits & (letters << 1 | letter_before);
        letter_before = letters >> 63;
        for (; among; among &= among - 1) {
            const uint8_t *at = view + base + __builtin_ctzll(among);
            if (at[1] >= 'a' || at[2] >= 'a')
                return 1;
        }
    }
    return 0;
}

#endif
