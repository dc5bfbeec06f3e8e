/* The inner loop of tier 2: what twin.py says, in C. Both give the same sums, bit for bit; tests hold them equal. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { HEADS = 17, BITS = 18, SHIFT = 32 - BITS, LONGEST = 24, SLOTS = 8192, GRAMS = 72 };

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

typedef struct {
    PyObject_HEAD
    Py_buffer table;
    Slot *slots;
} Kernel;

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

/* Add the rows of one word, of `count` characters whose UTF-8 is marked[1..] (marked[0] is '<'), and return its hash. */
static uint32_t read_word(Kernel *self, uint8_t *marked, const uint8_t *const *ends, int count, int grams, int32_t *sums)
{
    const uint8_t *word = marked + 1, *end = ends[count];
    size_t length = (size_t)(end - word);
    uint32_t hash = crc32(word, end, 0);
    Slot *slot = &self->slots[(hash ^ hash >> 15) & (SLOTS - 1)];
    int kept = length <= LONGEST;
    if (kept && slot->length == length && slot->hash == hash && !memcmp(slot->text, word, length)) {
        for (int head = 0; head < HEADS; head++)
            sums[head] += slot->sums[head];
        return hash;
    }
    const int8_t *rows[GRAMS];
    int wanted = 0;
    rows[wanted++] = row(self, hash * 0x9E3779B1u);
    if (grams) { /* ends[i] is where character i - 1 of the word ends; ends[0] is behind '<', the last behind '>' */
        for (int size = 3; size <= 5; size++)
            for (int at = 0; at + size <= count + 2; at++) {
                const uint8_t *from = at ? ends[at - 1] : marked;
                uint32_t gram = crc32(from, ends[at + size - 1], (uint32_t)size);
                rows[wanted] = row(self, gram * 0x85EBCA6Bu);
                __builtin_prefetch(rows[wanted++]);
            }
    }
    int32_t own[HEADS] = {0};
    for (int index = 0; index < wanted; index++)
        add(own, rows[index]);
    for (int head = 0; head < HEADS; head++)
        sums[head] += own[head];
    if (kept) {
        memcpy(slot->text, word, length);
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
    uint8_t marked[2 + 4 * LONGEST];
    const uint8_t *ends[LONGEST + 2];
    const int8_t *waiting[2]; /* rows of the word before: added only now, when they have arrived from memory */
    int wait = 0;
    marked[0] = '<';
    while (at < length && taken < limit) {
        Py_UCS4 point = PyUnicode_READ(kind, data, at);
        uint8_t *put_at = marked + 1;
        int characters = 0, grams = 0;
        ends[0] = put_at;
        if (is_digit(point)) {
            Py_ssize_t begin = at;
            while (at < length && is_digit(PyUnicode_READ(kind, data, at)))
                at++;
            characters = at - begin < 3 ? 1 : 2;
            for (int index = 1; index <= characters; index++) {
                *put_at++ = '0';
                ends[index] = put_at;
            }
        } else if (is_letter(point)) {
            do {
                if (characters < LONGEST) {
                    put_at = put(put_at, point);
                    ends[++characters] = put_at;
                }
                at++;
            } while (at < length && is_letter(point = PyUnicode_READ(kind, data, at)));
            grams = characters > 3;
        } else if (point == '?' || is_cjk(point)) {
            put_at = put(put_at, point);
            ends[characters = 1] = put_at;
            at++;
        } else {
            at++;
            continue;
        }
        *put_at++ = '>';
        ends[characters + 1] = put_at;
        uint32_t hash = read_word(self, marked, ends, characters, grams, sums);
        while (wait)
            add(sums, waiting[--wait]);
        __builtin_prefetch(waiting[wait++] = row(self, first * 0x27D4EB2Fu + hash * 0x165667B1u));
        if (second)
            __builtin_prefetch(waiting[wait++] = row(self, second * 0xC2B2AE35u + hash * 0x2545F491u + 7u));
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
    if (!self->slots) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static void kernel_dealloc(Kernel *self)
{
    if (self->table.obj)
        PyBuffer_Release(&self->table);
    PyMem_Free(self->slots);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef kernel_methods[] = {
    {"take", (PyCFunction)(void (*)(void))kernel_take, METH_FASTCALL,
     "take(text, start, limit, second, first, sums): see guard.screening.learned.twin.Twin.take"},
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
