/* The inner loop of tier 2: what twin.py and walk.py say, in C. Both give the same, bit for bit; tests hold them equal. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { HEADS = 17, BITS = 18, SHIFT = 32 - BITS, LONGEST = 24, SLOT_BITS = 13, SLOTS = 1 << SLOT_BITS, GRAMS = 72 };
enum { UNSAFE = 0, D1 = HEADS - 1, START = 0x01234567, BLOCK = 32, WINDOW = 2 * BLOCK };

static uint32_t crc_table[256];

static void fill_crc_table(void)
{
    for (uint32_t octet = 0; octet < 256; octet++) {
        uint32_t value = octet;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? 0xEDB88320u ^ (value >> 1) : value >> 1;
        crc_table[octet] = value;
    }
}

static inline uint32_t crc32(const uint8_t *at, const uint8_t *end, uint32_t start)
{
    uint32_t crc = ~start;
    while (at < end)
        crc = crc_table[(crc ^ *at++) & 0xFF] ^ (crc >> 8);
    return ~crc;
}

/* A word seen before: its hash and the sum of its own rows. Words repeat, so most of a text is answered here. */
typedef struct {
    uint8_t text[LONGEST];
    uint32_t hash;
    uint8_t length; /* bytes; 0: the slot is empty */
    int32_t sums[HEADS];
} Slot;

/* The same for the two heads that say where to look: small enough that all words in use stay near. */
typedef struct {
    uint64_t key[LONGEST / 8]; /* its UTF-8 and zeros, which no word has; all zeros: empty */
    uint32_t hash;
    int16_t unsafe, d1;
} Brief;

typedef struct {
    int8_t unsafe, d1;
} Pair;

typedef struct {
    PyObject_HEAD
    Py_buffer table;
    Slot *slots;
    Brief *briefs;
    Pair *pairs; /* two heads of every row of the table */
} Kernel;

/* Which row is that of a word, of one of its n-grams, of it with the word before, of it with the word before that. */
static inline uint32_t of_word(uint32_t hash) { return hash * 0x9E3779B1u; }
static inline uint32_t of_gram(uint32_t hash) { return hash * 0x85EBCA6Bu; }
static inline uint32_t of_next(uint32_t first, uint32_t hash) { return first * 0x27D4EB2Fu + hash * 0x165667B1u; }
static inline uint32_t of_skip(uint32_t second, uint32_t hash) { return second * 0xC2B2AE35u + hash * 0x2545F491u + 7u; }

static inline const int8_t *row(const Kernel *self, uint32_t mixed)
{
    return (const int8_t *)self->table.buf + (size_t)(mixed >> SHIFT) * HEADS;
}

static inline void add(int32_t *sums, const int8_t *values)
{
    for (int head = 0; head < HEADS; head++)
        sums[head] += values[head];
}

static inline int is_cjk(Py_UCS4 point)
{
    return (point >= 0x3040 && point <= 0x30FF) || (point >= 0x3400 && point <= 0x9FFF);
}

static inline int is_digit(Py_UCS4 point) { return point >= '0' && point <= '9'; }

static inline int is_letter(Py_UCS4 point)
{
    if (point < 128)
        return (point >= 'a' && point <= 'z') || (point >= 'A' && point <= 'Z');
    return Py_UNICODE_ISALNUM(point) && !is_cjk(point);
}

static inline uint8_t *put(uint8_t *at, Py_UCS4 point)
{
    if (point < 0x80) {
        *at++ = (uint8_t)point;
    } else if (point < 0x800) {
        *at++ = (uint8_t)(0xC0 | point >> 6);
        *at++ = (uint8_t)(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        *at++ = (uint8_t)(0xE0 | point >> 12);
        *at++ = (uint8_t)(0x80 | (point >> 6 & 0x3F));
        *at++ = (uint8_t)(0x80 | (point & 0x3F));
    } else {
        *at++ = (uint8_t)(0xF0 | point >> 18);
        *at++ = (uint8_t)(0x80 | (point >> 12 & 0x3F));
        *at++ = (uint8_t)(0x80 | (point >> 6 & 0x3F));
        *at++ = (uint8_t)(0x80 | (point & 0x3F));
    }
    return at;
}

/* A word as it is hashed: its UTF-8 is marked[1..]; marked[0] is '<', behind it stands '>'. */
typedef struct {
    uint8_t marked[2 + 4 * LONGEST];
    const uint8_t *ends[LONGEST + 2]; /* [i] is where character i - 1 ends; [0] is behind '<', the last behind '>' */
    int count;                        /* characters */
    int grams;                        /* true: its n-grams count too */
} Word;

/* Read what stands at `at` of a text; return where the next begins. A count of 0: it is no word. */
static inline Py_ssize_t next_word(int kind, const void *data, Py_ssize_t length, Py_ssize_t at, Word *word)
{
    Py_UCS4 point = PyUnicode_READ(kind, data, at);
    uint8_t *put_at = word->marked + 1;
    word->marked[0] = '<';
    word->ends[0] = put_at;
    word->count = word->grams = 0;
    if (is_digit(point)) {
        Py_ssize_t begin = at;
        while (at < length && is_digit(PyUnicode_READ(kind, data, at)))
            at++;
        word->count = at - begin < 3 ? 1 : 2;
        for (int index = 1; index <= word->count; index++) {
            *put_at++ = '0';
            word->ends[index] = put_at;
        }
    } else if (is_letter(point)) {
        do {
            if (word->count < LONGEST) {
                put_at = put(put_at, point);
                word->ends[++word->count] = put_at;
            }
            at++;
        } while (at < length && is_letter(point = PyUnicode_READ(kind, data, at)));
        word->grams = word->count > 3;
    } else if (point == '?' || is_cjk(point)) {
        put_at = put(put_at, point);
        word->ends[word->count = 1] = put_at;
        at++;
    } else {
        return at + 1;
    }
    *put_at++ = '>';
    word->ends[word->count + 1] = put_at;
    return at;
}

/* Write down which rows a word adds by itself; return how many they are. */
static int rows_of(const Word *word, uint32_t hash, uint32_t *mixed)
{
    int wanted = 0;
    mixed[wanted++] = of_word(hash);
    if (word->grams)
        for (int size = 3; size <= 5; size++)
            for (int at = 0; at + size <= word->count + 2; at++) {
                const uint8_t *from = at ? word->ends[at - 1] : word->marked;
                mixed[wanted++] = of_gram(crc32(from, word->ends[at + size - 1], (uint32_t)size));
            }
    return wanted;
}

/* Add the rows of one word, and return its hash. */
static uint32_t read_word(Kernel *self, const Word *word, int32_t *sums)
{
    const uint8_t *text = word->marked + 1, *end = word->ends[word->count];
    size_t length = (size_t)(end - text);
    uint32_t hash = crc32(text, end, 0);
    Slot *slot = &self->slots[(hash ^ hash >> 15) & (SLOTS - 1)];
    int kept = length <= LONGEST;
    if (kept && slot->length == length && slot->hash == hash && !memcmp(slot->text, text, length)) {
        for (int head = 0; head < HEADS; head++)
            sums[head] += slot->sums[head];
        return hash;
    }
    uint32_t mixed[GRAMS];
    int wanted = rows_of(word, hash, mixed);
    for (int index = 0; index < wanted; index++)
        __builtin_prefetch(row(self, mixed[index]));
    int32_t own[HEADS] = {0};
    for (int index = 0; index < wanted; index++)
        add(own, row(self, mixed[index]));
    for (int head = 0; head < HEADS; head++)
        sums[head] += own[head];
    if (kept) {
        memcpy(slot->text, text, length);
        slot->length = (uint8_t)length;
        slot->hash = hash;
        memcpy(slot->sums, own, sizeof own);
    }
    return hash;
}

static PyObject *kernel_take(Kernel *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 6 || !PyUnicode_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "take(text, start, limit, second, first, sums)");
        return NULL;
    }
    PyObject *text = args[0];
    Py_ssize_t at = PyLong_AsSsize_t(args[1]), limit = PyLong_AsSsize_t(args[2]);
    uint32_t second = (uint32_t)PyLong_AsUnsignedLong(args[3]), first = (uint32_t)PyLong_AsUnsignedLong(args[4]);
    if (PyErr_Occurred())
        return NULL;
    Py_buffer buffer;
    if (PyObject_GetBuffer(args[5], &buffer, PyBUF_WRITABLE) < 0)
        return NULL;
    if (buffer.len != HEADS * (Py_ssize_t)sizeof(int32_t) || at < 0) {
        PyBuffer_Release(&buffer);
        PyErr_SetString(PyExc_ValueError, "sums holds as many C ints as there are heads, start is not negative");
        return NULL;
    }
    int32_t *sums = buffer.buf;
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), end = at, taken = 0;
    Word word;
    const int8_t *waiting[2]; /* rows of the word before: added only now, when they have arrived from memory */
    int wait = 0;
    while (at < length && taken < limit) {
        at = next_word(kind, data, length, at, &word);
        if (!word.count)
            continue;
        uint32_t hash = read_word(self, &word, sums);
        while (wait)
            add(sums, waiting[--wait]);
        __builtin_prefetch(waiting[wait++] = row(self, of_next(first, hash)));
        if (second)
            __builtin_prefetch(waiting[wait++] = row(self, of_skip(second, hash)));
        second = first;
        first = hash;
        end = at;
        taken++;
    }
    while (wait)
        add(sums, waiting[--wait]);
    PyBuffer_Release(&buffer);
    return Py_BuildValue("nnkk", end, taken, (unsigned long)second, (unsigned long)first);
}

static inline uint64_t little(const uint8_t *at)
{
    uint64_t value = 0;
    for (int octet = 0; octet < 8; octet++)
        value |= (uint64_t)at[octet] << 8 * octet;
    return value;
}

static Brief *brief_at(const Kernel *self, const uint64_t *key)
{
    uint64_t mixed = key[0] * 0x9E3779B97F4A7C15u;
    if (key[1])
        mixed ^= key[1] * 0xC2B2AE3D27D4EB4Fu ^ key[2] * 0x165667B19E3779F9u;
    return &self->briefs[mixed >> (64 - SLOT_BITS)];
}

/* Fill `brief` with what a word that is not known adds; `key` is its own, or zeros where it is too long for one. */
static void make_brief(const Kernel *self, const Word *word, const uint64_t *key, Brief *brief)
{
    uint32_t hash = crc32(word->marked + 1, word->ends[word->count], 0), mixed[GRAMS];
    int wanted = rows_of(word, hash, mixed), unsafe = 0, d1 = 0;
    for (int index = 0; index < wanted; index++) {
        const Pair *pair = &self->pairs[mixed[index] >> SHIFT];
        unsafe += pair->unsafe;
        d1 += pair->d1;
    }
    memcpy(brief->key, key, sizeof brief->key);
    brief->hash = hash;
    brief->unsafe = (int16_t)unsafe;
    brief->d1 = (int16_t)d1;
}

/* A walk (walk.py) that only keeps how high it came. */
typedef struct {
    const double *scale; /* biases of the two heads, then what a unit of each is worth over 0..WINDOW words */
    long step, since;
    int words, earlier;
    int32_t unsafe, d1, unsafe_before, d1_before;
    uint32_t second, first;
    double highest, highest_d1;
} Peak;

static void look(Peak *peak)
{
    int words = peak->earlier + peak->words;
    /* Rounded before it is added, as Python does: compilers may do both at once. */
    volatile double unsafe = peak->scale[2 + words] * (peak->unsafe_before + peak->unsafe);
    volatile double d1 = peak->scale[3 + WINDOW + words] * (peak->d1_before + peak->d1);
    double logit = peak->scale[0] + unsafe, logit_d1 = peak->scale[1] + d1;
    if (logit > peak->highest)
        peak->highest = logit;
    if (logit_d1 > peak->highest_d1)
        peak->highest_d1 = logit_d1;
    peak->since = 0;
}

static inline void pass(const Kernel *self, Peak *peak, const Brief *brief)
{
    const Pair *next = &self->pairs[of_next(peak->first, brief->hash) >> SHIFT];
    peak->unsafe += brief->unsafe + next->unsafe;
    peak->d1 += brief->d1 + next->d1;
    if (peak->second) {
        const Pair *skip = &self->pairs[of_skip(peak->second, brief->hash) >> SHIFT];
        peak->unsafe += skip->unsafe;
        peak->d1 += skip->d1;
    }
    peak->second = peak->first;
    peak->first = brief->hash;
    peak->words++;
    if (++peak->since == peak->step) {
        look(peak);
        if (peak->words == BLOCK) {
            peak->unsafe_before = peak->unsafe;
            peak->d1_before = peak->d1;
            peak->unsafe = peak->d1 = peak->words = 0;
            peak->earlier = BLOCK;
        }
    }
}

/* Where each byte of eight is an ASCII letter, its highest bit is set; `octets` are ASCII. */
static inline uint64_t letters(uint64_t octets)
{
    const uint64_t each = 0x0101010101010101u;
    uint64_t lower = octets | 0x20 * each;
    return (lower + (0x80 - 'a') * each) & ~(lower + (0x7F - 'z') * each) & 0x80 * each;
}

/* Read the run of letters at `at` of an ASCII text into `key`; return its length, or 0 if it is too long for one. */
static inline Py_ssize_t short_word(const uint8_t *at, Py_ssize_t left, uint64_t *key)
{
    for (int part = 0; part <= LONGEST / 8; part++) {
        uint8_t end[8] = {0};
        if (left < 8)
            memcpy(end, at + 8 * part, left > 0 ? (size_t)left : 0);
        uint64_t octets = little(left < 8 ? end : at + 8 * part);
        uint64_t others = ~letters(octets) & 0x8080808080808080u;
        int run = others ? __builtin_ctzll(others) / 8 : 8;
        if (part == LONGEST / 8)
            return run ? 0 : LONGEST;
        if (run < 8) {
            key[part] = octets & (((uint64_t)1 << 8 * run) - 1);
            return 8 * part + run;
        }
        key[part] = octets;
        left -= 8;
    }
    return 0;
}

static PyObject *kernel_peak(Kernel *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyUnicode_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "peak(text, step, scale)");
        return NULL;
    }
    PyObject *text = args[0];
    Peak peak = {.step = PyLong_AsLong(args[1]), .first = START, .highest = -Py_HUGE_VAL, .highest_d1 = -Py_HUGE_VAL};
    if (PyErr_Occurred())
        return NULL;
    Py_buffer scale;
    if (PyObject_GetBuffer(args[2], &scale, PyBUF_SIMPLE) < 0)
        return NULL;
    if (scale.len != 2 * (WINDOW + 2) * (Py_ssize_t)sizeof(double) || peak.step < 1 || BLOCK % peak.step) {
        PyBuffer_Release(&scale);
        PyErr_SetString(PyExc_ValueError, "a scale is two biases and two rows of units, a step divides a block");
        return NULL;
    }
    peak.scale = scale.buf;
    int kind = PyUnicode_KIND(text), ascii = PyUnicode_IS_ASCII(text);
    const void *data = PyUnicode_DATA(text);
    const uint8_t *octets = data;
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), at = 0;
    Word word;
    Brief own;
    while (at < length) {
        uint64_t key[LONGEST / 8] = {0};
        if (ascii) {
            if (octets[at] == ' ') {
                at++;
                continue;
            }
            Py_ssize_t run = short_word(octets + at, length - at, key);
            if (run) {
                Brief *brief = brief_at(self, key);
                if (memcmp(brief->key, key, sizeof key)) {
                    next_word(kind, data, length, at, &word);
                    make_brief(self, &word, key, brief);
                }
                pass(self, &peak, brief);
                at += run;
                continue;
            }
        }
        at = next_word(kind, data, length, at, &word);
        if (!word.count)
            continue;
        size_t size = (size_t)(word.ends[word.count] - (word.marked + 1));
        if (size > LONGEST) {
            make_brief(self, &word, key, &own);
            pass(self, &peak, &own);
            continue;
        }
        uint8_t padded[LONGEST] = {0};
        memcpy(padded, word.marked + 1, size);
        for (int part = 0; part < LONGEST / 8; part++)
            key[part] = little(padded + 8 * part);
        Brief *brief = brief_at(self, key);
        if (memcmp(brief->key, key, sizeof key))
            make_brief(self, &word, key, brief);
        pass(self, &peak, brief);
    }
    if (peak.since || peak.highest == -Py_HUGE_VAL)
        look(&peak);
    PyBuffer_Release(&scale);
    return Py_BuildValue("dd", peak.highest, peak.highest_d1);
}

static int kernel_init(Kernel *self, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    if (self->slots) {
        PyErr_SetString(PyExc_TypeError, "a kernel is made once");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "y*", &self->table))
        return -1;
    if (self->table.len != (Py_ssize_t)HEADS << BITS) {
        PyErr_Format(PyExc_ValueError, "a table of %zd bytes; allowed: %zd", self->table.len, (Py_ssize_t)HEADS << BITS);
        return -1;
    }
    self->slots = PyMem_Calloc(SLOTS, sizeof(Slot));
    self->briefs = PyMem_Calloc(SLOTS, sizeof(Brief));
    self->pairs = PyMem_Malloc(sizeof(Pair) << BITS);
    if (!self->slots || !self->briefs || !self->pairs) {
        PyErr_NoMemory();
        return -1;
    }
    const int8_t *values = self->table.buf;
    for (size_t index = 0; index < (size_t)1 << BITS; index++)
        self->pairs[index] = (Pair){values[index * HEADS + UNSAFE], values[index * HEADS + D1]};
    return 0;
}

static void kernel_dealloc(Kernel *self)
{
    if (self->table.obj)
        PyBuffer_Release(&self->table);
    PyMem_Free(self->slots);
    PyMem_Free(self->briefs);
    PyMem_Free(self->pairs);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef kernel_methods[] = {
    {"take", (PyCFunction)(void (*)(void))kernel_take, METH_FASTCALL,
     "take(text, start, limit, second, first, sums): see guard.screening.learned.twin.Twin.take"},
    {"peak", (PyCFunction)(void (*)(void))kernel_peak, METH_FASTCALL,
     "peak(text, step, scale): the highest logits of a walk, see guard.screening.learned.peak"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject kernel_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "guard.screening.learned._kernel.Kernel",
    .tp_basicsize = sizeof(Kernel),
    .tp_dealloc = (destructor)kernel_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Sums rows of a table; the compiled form of guard.screening.learned.twin.Twin.",
    .tp_methods = kernel_methods,
    .tp_init = (initproc)kernel_init,
    .tp_new = PyType_GenericNew,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_kernel", .m_doc = "The compiled inner loop of tier 2.", .m_size = -1};

PyMODINIT_FUNC PyInit__kernel(void)
{
    fill_crc_table();
    if (PyType_Ready(&kernel_type) < 0)
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddObjectRef(made, "Kernel", (PyObject *)&kernel_type) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
