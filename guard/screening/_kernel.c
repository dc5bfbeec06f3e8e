/* Tier 1, compiled: which anchors of many rules fire in a complete text (what anchors_twin.py says), whether a text is
 * quiet, what a text is, folded, and whether it may be disguised. Tests hold each equal to what Python says.
 *
 * One walk finds every anchor, context word and exempt phrase. It reads a text as guard.screening.normalize.view shows it,
 * with a blank for whatever is no part of a word and one at each end: so a word boundary is a character like any other.
 * Then each anchor's rule is judged by what was found around it. Most texts are not walked: see _words.h. */
#define PY_SSIZE_T_CLEAN
#include "_automaton.h"
#include "_fold.h"
#include "_signs.h"
#include "_words.h"

/* ---- The walk ---- */

static int is_there(const Literal *literal, int kind, const void *data, Py_ssize_t start)
{
    for (int32_t at = 0; at < literal->length; at++)
        if (PyUnicode_READ(kind, data, start + at) != literal->text[at])
            return 0;
    return 1;
}

static int grow(Anchors *self)
{
    size_t room = self->room ? 2 * self->room : 256;
    Found *found = PyMem_Realloc(self->found, room * sizeof *found);
    if (!found) {
        PyErr_NoMemory();
        return -1;
    }
    self->found = found;
    self->room = room;
    return 0;
}

/* Note the literals that end in `state`, of which the last character, perhaps the boundary, is at `place`. Returns how many
 * are noted then, -1 on an error, -2 if that are more anchors than `most`. */
static Py_ssize_t note(Anchors *self, PyObject *text, int32_t state, Py_ssize_t place, Py_ssize_t noted, Py_ssize_t most,
                       Py_ssize_t *counted)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    for (int32_t at = ends_at(self, state); self->ends[at] != NONE; at++) {
        const Literal *literal = &self->literals[self->ends[at]];
        Py_ssize_t end = place + !literal->right, start = end - literal->length;
        if (start < 0 || end > length)
            continue; /* a sign at its end was taken for the blank that is added there */
        if (literal->anchors < literal->anchors_end && ++*counted > most)
            return -2;
        if (literal->text && !is_there(literal, PyUnicode_KIND(text), PyUnicode_DATA(text), start))
            continue;
        if ((size_t)noted == self->room && grow(self) < 0)
            return -1;
        self->found[noted++] = (Found){self->ends[at], start, end};
    }
    return noted;
}

INLINE Py_ssize_t walk_kind(Anchors *self, PyObject *text, int kind, Py_ssize_t most, Py_ssize_t *counted)
{
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), noted = 0;
    const int32_t *rows = self->rows;
    int32_t state = step(self, 0, BLANK) >> 1;
    for (Py_ssize_t place = 0; place <= length; place++) {
        uint32_t symbol = place < length ? symbol_of(PyUnicode_READ(kind, data, place)) : BLANK;
        int32_t next = step(self, state, symbol);
        state = next >> 1;
        if (!LIKELY(!(next & 1))) {
            noted = note(self, text, state, place, noted, most, counted);
            if (noted < 0)
                return noted;
        }
        /* The better part of a text is within words that nothing begins with. */
        while (!state && place + 1 < length) {
            symbol = symbol_of(PyUnicode_READ(kind, data, place + 1));
            if (symbol >= CLASSES || rows[symbol])
                break;
            place++;
        }
    }
    return noted;
}

/* Everything that occurs in a text, in the order of where the walk sees its end; anchors that only look like one in the
 * view are counted too. Returns how many were noted, negative numbers as ``note``. */
static Py_ssize_t walk(Anchors *self, PyObject *text, Py_ssize_t most, Py_ssize_t *counted)
{
    switch (PyUnicode_KIND(text)) {
    case PyUnicode_1BYTE_KIND: return walk_kind(self, text, PyUnicode_1BYTE_KIND, most, counted);
    case PyUnicode_2BYTE_KIND: return walk_kind(self, text, PyUnicode_2BYTE_KIND, most, counted);
    default: return walk_kind(self, text, PyUnicode_4BYTE_KIND, most, counted);
    }
}

/* ---- The judgment ---- */

/* The first of what was found that ends behind `low`, or one before. */
static size_t first_behind(const Found *found, size_t count, Py_ssize_t low)
{
    size_t begin = 0, end = count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (found[middle].end <= low)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

static int occurs(const Anchors *self, size_t count, int32_t group, Py_ssize_t low, Py_ssize_t high)
{
    const Found *found = self->found;
    /* A literal without a right boundary is seen one character earlier than one with it: ends are in order but for 1. */
    for (size_t at = first_behind(found, count, low > 0 ? low - 1 : 0); at < count && found[at].end <= high + 1; at++) {
        const uint8_t *groups = self->literals[found[at].literal].groups;
        if (groups && groups[group >> 3] >> (group & 7) & 1 && found[at].start >= low && found[at].end <= high)
            return 1;
    }
    return 0;
}

static int exempt(const Anchors *self, size_t count, const Rule *rule, const Found *hit)
{
    const Found *found = self->found;
    for (int32_t place = rule->phrases; place < rule->phrases_end; place++) {
        int32_t phrase = self->phrases[place];
        Py_ssize_t high = hit->start + self->literals[phrase].length;
        for (size_t at = first_behind(found, count, hit->end - 2); at < count && found[at].end <= high + 1; at++)
            if (found[at].literal == phrase && found[at].start <= hit->start && found[at].end >= hit->end)
                return 1;
    }
    return 0;
}

static int holds(const Anchors *self, size_t count, const Rule *rule, const Found *hit)
{
    for (int32_t place = rule->contexts; place < rule->contexts_end; place++) {
        const Context *context = &self->contexts[place];
        int here = context->where != AFTER &&
                   occurs(self, count, context->group, hit->start > context->within ? hit->start - context->within : 0, hit->start);
        if (!here && context->where != BEFORE)
            here = occurs(self, count, context->group, hit->end, hit->end + context->within);
        if (here != context->wanted)
            return 0;
    }
    return !exempt(self, count, rule, hit);
}

/* Add what fires to `fired`, the first of a rule that does or every one; NULL: tell only whether anything does. Returns
 * that, or -1 on an error. */
static int judge(Anchors *self, Py_ssize_t noted, Py_ssize_t counted, uint32_t sources, PyObject *fired)
{
    int any = 0;
    if (!++self->call) {
        memset(self->fired, 0, (size_t)self->rule_count * sizeof *self->fired);
        self->call = 1;
    }
    for (Py_ssize_t at = 0; counted && at < noted; at++) {
        Found hit = self->found[at];
        const Literal *literal = &self->literals[hit.literal];
        for (int32_t place = literal->anchors; place < literal->anchors_end; place++) {
            int32_t anchor = self->anchors[place], number = self->rule_of[anchor];
            const Rule *rule = &self->rules[number];
            if (!(rule->sources & sources) || (!rule->every && self->fired[number] == self->call))
                continue;
            if (!holds(self, (size_t)noted, rule, &hit))
                continue;
            any = 1;
            if (!fired)
                goto out;
            self->fired[number] = self->call;
            PyObject *one = Py_BuildValue("(inn)", anchor, hit.start, hit.end);
            if (!one || PyList_Append(fired, one) < 0) {
                Py_XDECREF(one);
                return -1;
            }
            Py_DECREF(one);
        }
    }
out:
    if (self->room > 1 << 14) { /* a text of a megabyte is rare, and its room is not kept */
        PyMem_Free(self->found);
        self->found = NULL;
        self->room = 0;
    }
    return any;
}

static PyObject *anchors_fire(Anchors *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyUnicode_Check(args[0]) || !self->ends) {
        PyErr_SetString(PyExc_TypeError, "fire(text, sources, most)");
        return NULL;
    }
    uint32_t sources = (uint32_t)PyLong_AsUnsignedLong(args[1]);
    Py_ssize_t most = PyLong_AsSsize_t(args[2]), counted = 0;
    if (PyErr_Occurred())
        return NULL;
    Py_ssize_t noted = walk(self, args[0], most, &counted);
    if (noted == -1)
        return NULL;
    PyObject *fired = PyList_New(0);
    if (!fired)
        return NULL;
    if (judge(self, noted, counted, sources, fired) < 0) {
        Py_DECREF(fired);
        return NULL;
    }
    return Py_BuildValue("(nN)", counted, fired);
}

/* ---- Whether a text is quiet ---- */

enum { FEW = 2048 };

/* Room for the forms of a text of `length` characters that `reading` has; octets where they are not there already. */
static int make_readable(Reading *reading, PyObject *said, uint8_t *small, Start *few, void **room)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(said);
    size_t starts = (size_t)length / 2 + 2, view = ((size_t)length + SPAN) / SPAN * SPAN + SPAN, octets = view;
    *room = NULL;
    if (length > FEW) {
        if (!(*room = PyMem_Malloc(starts * sizeof(Start) + view + octets))) {
            PyErr_NoMemory();
            return -1;
        }
        few = *room;
        small = (uint8_t *)(few + starts);
    }
    *reading = (Reading){said, PyUnicode_DATA(said), small, length, few, 0};
    if (!PyUnicode_IS_ASCII(said)) {
        narrow(said, small + view);
        tell_signs(said, small + view);
        memset(small + view + length, 0, DEPTH);
        reading->octets = small + view;
    }
    see_words(reading);
    return 0;
}

/* Whether a text surely has no sign of a disguise; -1: an error. */
static int is_innocent(PyObject *text)
{
    if (PyUnicode_IS_ASCII(text))
        return innocent(PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text));
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    uint8_t small[FEW + 1], *octets = length <= FEW ? small : PyMem_Malloc((size_t)length + 1);
    if (!octets) {
        PyErr_NoMemory();
        return -1;
    }
    narrow(text, octets);
    octets[length] = 0;
    int found = innocent(octets, length);
    if (octets != small)
        PyMem_Free(octets);
    return found;
}

static int is_true(PyObject *callable, PyObject *const *args, size_t count)
{
    PyObject *said = PyObject_Vectorcall(callable, args, count, NULL);
    int found = said ? PyObject_IsTrue(said) : -1;
    Py_XDECREF(said);
    return found;
}

/* Returns how many anchors were looked at if no rule finds anything, -1 if one may; -2: an error. */
static Py_ssize_t quiet(Anchors *self, PyObject *text, uint32_t sources, Py_ssize_t most, PyObject *disguised)
{
    Known *its = known_of(text);
    if (!its || (disguised != Py_None && its->innocent < 0 && (its->innocent = (int8_t)is_innocent(text)) < 0))
        return -2;
    PyObject *said = Py_NewRef(its->said);
    int hidden = disguised != Py_None && !its->innocent, open = 0;
    forget_unkept();
    Start few[FEW / 2 + 2];
    uint8_t small[2 * (FEW + 2 * SPAN)];
    Reading reading;
    void *room;
    Py_ssize_t counted = -1;
    if (make_readable(&reading, said, small, few, &room) < 0) {
        Py_DECREF(said);
        return -2;
    }
    if (self->words)
        counted = quiet_words(self, &reading, sources, most);
    if (self->gates)
        open = may_match(self->gates, &reading);
    hidden |= disguised != Py_None && !PyUnicode_IS_ASCII(text) && view_tells(&reading);
    PyMem_Free(room);
    if (counted < 0) {
        Py_ssize_t looked = 0, noted = walk(self, said, most, &looked);
        int fires = noted == -2 ? 1 : noted < 0 ? -1 : judge(self, noted, looked, sources, NULL);
        counted = fires < 0 ? -2 : fires ? -1 : looked;
    }
    if (counted >= 0 && open) {
        int matches = is_true(self->sift, (PyObject *const[]){said}, 1);
        counted = matches < 0 ? -2 : matches ? -1 : counted;
    }
    if (counted >= 0 && hidden) {
        int found = is_true(disguised, (PyObject *const[]){text, said}, 2);
        counted = found < 0 ? -2 : found ? -1 : counted;
    }
    Py_DECREF(said);
    return counted;
}

static PyObject *anchors_quiet(Anchors *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 4 || !PyUnicode_Check(args[0]) || !self->ends) {
        PyErr_SetString(PyExc_TypeError, "quiet(text, sources, most, disguised)");
        return NULL;
    }
    uint32_t sources = (uint32_t)PyLong_AsUnsignedLong(args[1]);
    Py_ssize_t most = PyLong_AsSsize_t(args[2]);
    if (PyErr_Occurred())
        return NULL;
    Py_ssize_t counted = quiet(self, args[0], sources, most, args[3]);
    return counted == -2 ? NULL : PyLong_FromSsize_t(counted);
}


/* Whether any of the literals stands within text[low:high], with the boundaries it has in the whole of the text. */
static PyObject *anchors_occur(Anchors *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyUnicode_Check(args[0]) || !self->ends) {
        PyErr_SetString(PyExc_TypeError, "occur(text, low, high)");
        return NULL;
    }
    PyObject *text = args[0];
    Py_ssize_t low = PyLong_AsSsize_t(args[1]), high = PyLong_AsSsize_t(args[2]);
    if (PyErr_Occurred())
        return NULL;
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    high = Py_MIN(high, length);
    if (low < 0 || low >= high)
        Py_RETURN_FALSE;
    int32_t state = 0;
    if (!low || symbol_of(PyUnicode_READ(kind, data, low - 1)) == BLANK)
        state = step(self, 0, BLANK) >> 1;
    for (Py_ssize_t place = low; place <= high; place++) {
        int32_t next = step(self, state, place < length ? symbol_of(PyUnicode_READ(kind, data, place)) : BLANK);
        state = next >> 1;
        if (LIKELY(!(next & 1)))
            continue;
        for (int32_t at = ends_at(self, state); self->ends[at] != NONE; at++) {
            const Literal *literal = &self->literals[self->ends[at]];
            Py_ssize_t end = place + !literal->right, start = end - literal->length;
            if (start >= low && end <= high && (!literal->text || is_there(literal, kind, data, start)))
                Py_RETURN_TRUE;
        }
    }
    Py_RETURN_FALSE;
}

static int anchors_init(Anchors *self, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    PyObject *literals, *anchors, *groups, *rules, *starts = NULL, *tells = NULL, *sift = NULL;
    if (self->literals) {
        PyErr_SetString(PyExc_TypeError, "it is made once");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "O!O!O!O!|OOO", &PyList_Type, &literals, &PyList_Type, &anchors, &PyList_Type, &groups,
                          &PyList_Type, &rules, &starts, &tells, &sift))
        return -1;
    self->literal_count = PyList_GET_SIZE(literals);
    self->rule_count = PyList_GET_SIZE(rules);
    if (!(self->literals = room_for(self->literal_count, sizeof *self->literals)) ||
        !(self->rules = room_for(self->rule_count, sizeof *self->rules)) ||
        !(self->fired = room_for(self->rule_count, sizeof *self->fired)))
        return -1;
    if (take_anchors(self, anchors) < 0 || take_groups(self, groups) < 0 ||
        take_rules(self, rules, PyList_GET_SIZE(groups)) < 0)
        return -1;
    if (plant(self, literals) < 0 || (self->anchor_count && make_words(self, literals, groups) < 0))
        return -1;
    self->sift = Py_XNewRef(sift);
    return sift ? make_gates(self, starts, tells) : 0;
}

static void anchors_dealloc(Anchors *self)
{
    for (Py_ssize_t at = 0; self->literals && at < self->literal_count; at++) {
        PyMem_Free(self->literals[at].text);
        PyMem_Free(self->literals[at].groups);
    }
    void *rooms[] = {self->rows, self->twigs, self->edges, self->ends, self->literals, self->anchors,
                     self->rule_of, self->phrases, self->contexts, self->rules, self->fired, self->found,
                     self->gates};
    for (size_t at = 0; at < sizeof rooms / sizeof *rooms; at++)
        PyMem_Free(rooms[at]);
    forget_words(self->words);
    Py_XDECREF(self->sift);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef anchors_methods[] = {
    {"fire", (PyCFunction)(void (*)(void))anchors_fire, METH_FASTCALL,
     "fire(text, sources, most): see guard.screening.anchors_twin.Anchors.fire"},
    {"quiet", (PyCFunction)(void (*)(void))anchors_quiet, METH_FASTCALL,
     "quiet(text, sources, most, disguised): see guard.screening.anchors_twin.Anchors.quiet"},
    {"occur", (PyCFunction)(void (*)(void))anchors_occur, METH_FASTCALL,
     "occur(text, low, high): whether any literal stands there; see guard.screening.rules.Context.occurs"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject anchors_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "guard.screening._kernel.Anchors",
    .tp_basicsize = sizeof(Anchors),
    .tp_dealloc = (destructor)anchors_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Finds the anchors that fire; the compiled form of guard.screening.anchors_twin.Anchors.",
    .tp_methods = anchors_methods,
    .tp_init = (initproc)anchors_init,
    .tp_new = PyType_GenericNew,
};

/* ---- What is asked about any text ---- */

static int needs_text(PyObject *given)
{
    if (PyUnicode_Check(given))
        return 1;
    PyErr_SetString(PyExc_TypeError, "a text is needed");
    return 0;
}

static PyObject *kernel_fold(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "fold(text, after_space)");
        return NULL;
    }
    int after_space = PyObject_IsTrue(args[1]);
    return after_space < 0 || !needs_text(args[0]) ? NULL : fold_text(args[0], after_space);
}

static PyObject *kernel_folded(PyObject *module, PyObject *text)
{
    (void)module;
    Known *its = needs_text(text) ? known_of(text) : NULL;
    PyObject *said = its ? Py_NewRef(its->said) : NULL;
    forget_unkept();
    return said;
}

static PyObject *kernel_innocent(PyObject *module, PyObject *text)
{
    (void)module;
    if (!needs_text(text))
        return NULL;
    for (int place = 0; place < KEPT; place++)
        if (known[place].text == text && known[place].innocent >= 0)
            return PyBool_FromLong(known[place].innocent);
    int found = is_innocent(text);
    return found < 0 ? NULL : PyBool_FromLong(found);
}

static PyObject *kernel_ask(PyObject *module, PyObject *callable)
{
    (void)module;
    Py_XSETREF(fold_character, Py_NewRef(callable));
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"fold", (PyCFunction)(void (*)(void))kernel_fold, METH_FASTCALL,
     "fold(text, after_space): see guard.screening.normalize.fold"},
    {"folded", kernel_folded, METH_O, "Return a text, folded; the last few are remembered."},
    {"innocent", kernel_innocent, METH_O, "Return whether guard.screening.signs finds none in a text, for sure."},
    {"ask", kernel_ask, METH_O, "Ask a callable, from now on, what a character beyond ASCII becomes, once each."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_kernel", .m_doc = "Tier 1, compiled.", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit__kernel(void)
{
    fill_classes();
    fill_folds();
    fill_signs();
    if (PyType_Ready(&anchors_type) < 0)
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddObjectRef(made, "Anchors", (PyObject *)&anchors_type) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
