/* Folding in C: what normalize.fold says, and the last few texts with what was worked out about them. Tests hold both
 * equal. What a character beyond ASCII becomes is asked of Python once. */
#ifndef GUARD_FOLD_H
#define GUARD_FOLD_H

#include "_lanes.h"

enum { BLOCK = 32, PAGE = 256, PAGES = 0x110000 / PAGE };
enum { UNKNOWN = 0, DROPPED = 1u << 30, SEVERAL = 1u << 31 };
enum { KEPT = 4, LONGEST = 1 << 16 }; /* texts, and characters of a text that is kept: so there are never many */

static uint8_t folded_as[128];   /* 0: dropped */
static uint32_t *pages[PAGES];   /* by character: one, more by bit; DROPPED; or the place in `several` */
static PyObject *fold_character; /* says what a character becomes */
static Py_UCS4 *several;         /* how many, and those that a character becomes */
static size_t several_used, several_room;

static void fill_folds(void)
{
    for (int point = 33; point < 127; point++)
        folded_as[point] = (uint8_t)(point >= 'A' && point <= 'Z' ? point + 32 : point);
    for (const char *blank = "\t\n\v\f\r\x1c\x1d\x1e\x1f -"; *blank; blank++)
        folded_as[(uint8_t)*blank] = ' ';
    folded_as['*'] = 0;
}

/* Fold BLOCK characters; return whether that was all: none is dropped, and no blank follows another. Compilers make a few
 * instructions of it. put[-1] is the character before. */
static int fold_block(const uint8_t *restrict text, uint8_t *restrict put)
{
    uint8_t odd = 0;
    for (int at = 0; at < BLOCK; at++) {
        uint8_t point = text[at], folded = (uint8_t)(point | ((uint8_t)((point >= 'A') & (point <= 'Z')) << 5));
        folded = (point == '-') | (point == '\n') ? ' ' : folded;
        put[at] = folded;
        odd |= (uint8_t)((folded < ' ') | (folded >= 0x7F) | (folded == '*'));
    }
    for (int at = 0; at < BLOCK; at++)
        odd |= (uint8_t)((put[at] == ' ') & (put[at - 1] == ' '));
    return !odd;
}

/* Fold octets of ASCII, to put[0:...], where put[-1] is the character before. Returns behind the last. */
static uint8_t *fold_octets(const uint8_t *text, Py_ssize_t length, uint8_t *put)
{
    for (Py_ssize_t at = 0; at < length;) {
        if (at + BLOCK <= length && fold_block(text + at, put)) {
            put += BLOCK;
            at += BLOCK;
            continue;
        }
        for (Py_ssize_t end = at + BLOCK < length ? at + BLOCK : length; at < end; at++) {
            *put = folded_as[text[at]];
            put += *put && !(*put == ' ' && put[-1] == ' '); /* what is not kept is written over */
        }
    }
    return put;
}

static PyObject *fold_ascii(PyObject *given, int after_space)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(given);
    uint8_t small[2048], *room = length < (Py_ssize_t)sizeof small ? small : PyMem_Malloc((size_t)length + 1);
    if (!room)
        return PyErr_NoMemory();
    room[0] = after_space ? ' ' : 0; /* the character before */
    size_t written = (size_t)(fold_octets(PyUnicode_DATA(given), length, room + 1) - room - 1);
    PyObject *made = PyUnicode_New((Py_ssize_t)written, 127);
    if (made)
        memcpy(PyUnicode_DATA(made), room + 1, written);
    if (room != small)
        PyMem_Free(room);
    return made;
}

/* Ask what a character beyond ASCII becomes, and keep it. 0: an error. */
static uint32_t learn(Py_UCS4 point)
{
    uint32_t *page = pages[point / PAGE], entry = 0;
    if (!page && !(page = pages[point / PAGE] = PyMem_Calloc(PAGE, sizeof *page))) {
        PyErr_NoMemory();
        return 0;
    }
    PyObject *one = PyUnicode_FromOrdinal((int)point);
    PyObject *said = one && fold_character ? PyObject_CallOneArg(fold_character, one) : NULL;
    Py_XDECREF(one);
    if (!said || !PyUnicode_Check(said)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "nobody says what a character becomes");
        Py_XDECREF(said);
        return 0;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(said);
    if (!length) {
        entry = DROPPED;
    } else if (length == 1) {
        entry = PyUnicode_READ_CHAR(said, 0) + 1;
    } else {
        if (several_used + (size_t)length + 1 > several_room) {
            size_t room = 2 * several_room + (size_t)length + 256;
            Py_UCS4 *grown = PyMem_Realloc(several, room * sizeof *grown);
            if (!grown) {
                Py_DECREF(said);
                PyErr_NoMemory();
                return 0;
            }
            several = grown;
            several_room = room;
        }
        entry = SEVERAL | (uint32_t)several_used;
        several[several_used++] = (Py_UCS4)length;
        for (Py_ssize_t at = 0; at < length; at++)
            several[several_used++] = PyUnicode_READ_CHAR(said, at);
    }
    Py_DECREF(said);
    return page[point % PAGE] = entry;
}

typedef struct { Py_UCS4 *room; size_t used, size; Py_UCS4 last; } Written;

static int make_room(Written *written, size_t more)
{
    if (written->used + more <= written->size)
        return 0;
    size_t size = 2 * written->size + more;
    Py_UCS4 *grown = PyMem_Realloc(written->room, size * sizeof *grown);
    if (!grown) {
        PyErr_NoMemory();
        return -1;
    }
    written->room = grown;
    written->size = size;
    return 0;
}

static inline void write_one(Written *written, Py_UCS4 point)
{
    written->room[written->used] = point;
    written->used += !(point == ' ' && written->last == ' ');
    written->last = point;
}

static inline __attribute__((always_inline)) int fold_kind(PyObject *text, int kind, Py_ssize_t from, Written *written)
{
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    for (Py_ssize_t at = from; at < length; at++) {
        Py_UCS4 point = PyUnicode_READ(kind, data, at);
        if (point < 128) {
            if (folded_as[point])
                write_one(written, folded_as[point]);
            continue;
        }
        const uint32_t *page = pages[point / PAGE];
        uint32_t entry = page ? page[point % PAGE] : UNKNOWN;
        if (entry == UNKNOWN && !(entry = learn(point)))
            return -1;
        if (entry & SEVERAL) {
            const Py_UCS4 *its = several + (entry & ~SEVERAL);
            if (make_room(written, its[0] + (size_t)(length - at)) < 0)
                return -1;
            for (Py_UCS4 part = 1; part <= its[0]; part++)
                write_one(written, its[part]);
        } else if (entry != DROPPED) {
            write_one(written, entry - 1);
        }
    }
    return 0;
}

/* Fold a text from `from` on, of which before that came the octets put[0:length], and put[-1] is the character before. */
static PyObject *fold_on(PyObject *text, Py_ssize_t from, const uint8_t *put, size_t length)
{
    Written written = {NULL, 0, 0, put[(Py_ssize_t)length - 1]};
    PyObject *made = NULL;
    int done = make_room(&written, length + (size_t)(PyUnicode_GET_LENGTH(text) - from) + 8);
    if (!done) {
        for (; written.used < length; written.used++)
            written.room[written.used] = put[written.used];
        switch (PyUnicode_KIND(text)) {
        case PyUnicode_1BYTE_KIND: done = fold_kind(text, PyUnicode_1BYTE_KIND, from, &written); break;
        case PyUnicode_2BYTE_KIND: done = fold_kind(text, PyUnicode_2BYTE_KIND, from, &written); break;
        default: done = fold_kind(text, PyUnicode_4BYTE_KIND, from, &written);
        }
    }
    if (!done)
        made = PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, written.room, (Py_ssize_t)written.used);
    PyMem_Free(written.room);
    return made;
}

/* Put in octets what each character that is no ASCII becomes, up to the first that is no single one of ASCII then. Returns
 * where that is. */
static Py_ssize_t put_plain(PyObject *text, uint8_t *octets)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    for (Py_ssize_t base = 0; base < length; base += SPAN) {
        uint8_t room[SPAN + 16];
        for (uint64_t wide = wide_at(octets, base, length, room); wide; wide &= wide - 1) {
            Py_ssize_t at = base + __builtin_ctzll(wide);
            Py_UCS4 point = PyUnicode_READ(kind, data, at);
            const uint32_t *page = pages[point / PAGE];
            uint32_t entry = page ? page[point % PAGE] : UNKNOWN;
            if (entry == DROPPED)
                octets[at] = 0;
            else if (entry != UNKNOWN && entry <= 128)
                octets[at] = (uint8_t)(entry - 1);
            else
                return at;
        }
    }
    return length;
}

/* Most texts that are no ASCII become ASCII: they are folded as such, up to where that ends. */
static PyObject *fold_wide(PyObject *text, int after_space)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    uint8_t small[2 * 2048], *room = length < 2048 ? small : PyMem_Malloc(2 * (size_t)length + 1);
    if (!room)
        return PyErr_NoMemory();
    uint8_t *octets = room + 1 + length;
    narrow(text, octets);
    room[0] = after_space ? ' ' : 0;
    Py_ssize_t plain = put_plain(text, octets);
    size_t written = (size_t)(fold_octets(octets, plain, room + 1) - room - 1);
    PyObject *made = plain == length ? PyUnicode_New((Py_ssize_t)written, 127) : fold_on(text, plain, room + 1, written);
    if (made && plain == length)
        memcpy(PyUnicode_DATA(made), room + 1, written);
    if (room != small)
        PyMem_Free(room);
    return made;
}

static PyObject *fold_text(PyObject *text, int after_space)
{
    return PyUnicode_IS_ASCII(text) ? fold_ascii(text, after_space) : fold_wide(text, after_space);
}

/* ---- The last few texts, by identity: one tier after the other asks the same about the parts of a prompt. ---- */

typedef struct {
    PyObject *text, *said;
    int8_t innocent; /* -1: not asked yet */
} Known;

static Known known[KEPT], unkept;
static unsigned known_next;

/* Called once nobody looks at what `known_of` said any more. */
static void forget_unkept(void)
{
    Py_CLEAR(unkept.said);
}

/* What is known of a text, from now on its folded form at least; NULL: an error. Good until the next call. */
static Known *known_of(PyObject *text)
{
    for (int place = 0; place < KEPT; place++)
        if (known[place].text == text)
            return &known[place];
    PyObject *said = fold_text(text, 0);
    if (!said)
        return NULL;
    int kept = PyUnicode_GET_LENGTH(text) <= LONGEST && PyUnicode_CheckExact(text);
    Known *its = kept ? &known[known_next++ % KEPT] : &unkept;
    Known before = *its;
    *its = (Known){kept ? Py_NewRef(text) : NULL, said, -1};
    Py_XDECREF(before.text);
    Py_XDECREF(before.said);
    return its;
}

#endif
