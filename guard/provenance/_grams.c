/* Words, code and the grams of them: what grams_twin.py says, in C. Both give the same, bit for bit; tests hold them
 * equal. What takes long runs without the interpreter's lock. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pythread.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define PREFETCH(at) __builtin_prefetch(at)
#else
#define INLINE static inline
#define PREFETCH(at) ((void)(at))
#endif

enum { UNALONE = 4096 }; /* bytes: what is shorter is done before another thread could have begun */

/* ---- BLAKE2b (RFC 7693) with a key, 8 bytes long: what is hashed is a short message behind the block of the key ---- */

static const uint64_t IV[8] = {0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u,
                               0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u};

#define ROTATED(x, n) ((x) >> (n) | (x) << (64 - (n)))
#define MIX(v, a, b, c, d, x, y)                                                                                       \
    v[a] += v[b] + (x), v[d] = ROTATED(v[d] ^ v[a], 32), v[c] += v[d], v[b] = ROTATED(v[b] ^ v[c], 24);                \
    v[a] += v[b] + (y), v[d] = ROTATED(v[d] ^ v[a], 16), v[c] += v[d], v[b] = ROTATED(v[b] ^ v[c], 63)
#define ROUND(v, m, a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q)                                                    \
    MIX(v, 0, 4, 8, 12, m(a), m(b));                                                                                   \
    MIX(v, 1, 5, 9, 13, m(c), m(d));                                                                                   \
    MIX(v, 2, 6, 10, 14, m(e), m(f));                                                                                  \
    MIX(v, 3, 7, 11, 15, m(g), m(h));                                                                                  \
    MIX(v, 0, 5, 10, 15, m(i), m(j));                                                                                  \
    MIX(v, 1, 6, 11, 12, m(k), m(l));                                                                                  \
    MIX(v, 2, 7, 8, 13, m(n), m(o));                                                                                   \
    MIX(v, 3, 4, 9, 14, m(p), m(q))
/* Written out, so that words of a message that are known to be zero cost nothing. */
#define ROUNDS(v, m)                                                                                                   \
    ROUND(v, m, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);                                                 \
    ROUND(v, m, 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);                                                 \
    ROUND(v, m, 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);                                                 \
    ROUND(v, m, 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);                                                 \
    ROUND(v, m, 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);                                                 \
    ROUND(v, m, 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);                                                 \
    ROUND(v, m, 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);                                                 \
    ROUND(v, m, 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);                                                 \
    ROUND(v, m, 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);                                                 \
    ROUND(v, m, 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);                                                 \
    ROUND(v, m, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);                                                 \
    ROUND(v, m, 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)

static inline uint64_t little(const uint8_t *at)
{
    uint64_t value = 0;
    for (int octet = 0; octet < 8; octet++)
        value |= (uint64_t)at[octet] << 8 * octet;
    return value;
}

static inline void put_little(uint8_t *at, uint64_t value)
{
    for (int octet = 0; octet < 8; octet++)
        at[octet] = (uint8_t)(value >> 8 * octet);
}

/* Take one block into `state`; `total` bytes were taken with it. */
static void compress(uint64_t *state, const uint8_t *block, uint64_t total, int last)
{
    uint64_t v[16], message[16];
    for (int word = 0; word < 16; word++)
        message[word] = little(block + 8 * word);
    memcpy(v, state, 64);
    memcpy(v + 8, IV, 64);
    v[12] ^= total;
    v[14] = last ? ~v[14] : v[14];
#define WORD(i) message[i]
    ROUNDS(v, WORD);
#undef WORD
    for (int word = 0; word < 8; word++)
        state[word] ^= v[word] ^ v[word + 8];
}

/* Set `state` to what BLAKE2b with this key is in before the message, or after it if there is none; a key has 1 to 64
 * bytes, a person 16 at most. */
static void keyed_for(uint64_t *state, const uint8_t *key, size_t length, const char *person, size_t digest, int last)
{
    uint8_t block[128] = {0}, named[16] = {0};
    memcpy(named, person, strlen(person));
    memcpy(state, IV, 64);
    state[0] ^= 0x01010000u ^ (uint64_t)length << 8 ^ digest; /* fanout and depth 1, the key's length, the digest's */
    state[6] ^= little(named);
    state[7] ^= little(named + 8);
    memcpy(block, key, length);
    compress(state, block, 128, last);
}

static void keyed(uint64_t *state, const uint8_t *key, size_t length, const char *person)
{
    keyed_for(state, key, length, person, 8, 0);
}

/* Take a message, which is not empty, into `running`, the state before it. */
static void take_message(uint64_t *running, const uint8_t *message, size_t length)
{
    uint64_t total = 128;
    uint8_t block[128] = {0};
    for (; length > 128; message += 128, length -= 128)
        compress(running, message, total += 128, 0);
    memcpy(block, message, length);
    compress(running, block, total + length, 1);
}

static uint64_t hash(const uint64_t *state, const uint8_t *message, size_t length)
{
    uint64_t running[8];
    memcpy(running, state, 64);
    take_message(running, message, length);
    return running[0];
}

enum { DIGEST = 16 };

/* What digests of one kind begin with. */
typedef struct {
    uint64_t state[8], nothing[8]; /* before the message; after an empty one */
} Digests;

static void digests_of(Digests *digests, const uint8_t *key, size_t length, const char *person)
{
    keyed_for(digests->state, key, length, person, DIGEST, 0);
    keyed_for(digests->nothing, key, length, person, DIGEST, 1);
}

static void put_digest(const Digests *digests, const uint8_t *message, size_t length, uint8_t *digest)
{
    uint64_t running[8];
    memcpy(running, length ? digests->state : digests->nothing, 64);
    if (length)
        take_message(running, message, length);
    put_little(digest, running[0]);
    put_little(digest + 8, running[1]);
}

/* Hash a message of 8 bytes, or one in each lane of a vector: `Type` is a word or a vector of words. */
#define HASH_EIGHT(Type, state, messages)                                                                              \
    do {                                                                                                               \
        Type v[16], message, zero;                                                                                     \
        memset(&zero, 0, sizeof zero);                                                                                 \
        memcpy(&message, messages, sizeof message);                                                                    \
        for (int word = 0; word < 8; word++) {                                                                         \
            v[word] = zero + (state)[word];                                                                            \
            v[word + 8] = zero + IV[word];                                                                             \
        }                                                                                                              \
        v[12] ^= zero + (uint64_t)136;                                                                                 \
        v[14] = ~v[14];                                                                                                \
        ROUNDS(v, FIRST);                                                                                              \
        v[0] ^= v[8] ^ (zero + (state)[0]);                                                                            \
        memcpy(messages, &v[0], sizeof message);                                                                       \
    } while (0)
#define FIRST(i) ((i) == 0 ? message : zero)

enum { LANES = 8 };

static void hash_scalar(const uint64_t *state, uint64_t *messages)
{
    for (int lane = 0; lane < LANES; lane++)
        HASH_EIGHT(uint64_t, state, messages + lane);
}

/* Without 256 bits to a register, vectors are slower than words. */
static void (*hash_many)(const uint64_t *, uint64_t *) = hash_scalar;

#if defined(__GNUC__) && defined(__x86_64__)
typedef uint64_t Four __attribute__((vector_size(32)));
typedef uint64_t Eight __attribute__((vector_size(64)));

__attribute__((target("avx2"))) static void hash_256(const uint64_t *state, uint64_t *messages)
{
    HASH_EIGHT(Four, state, messages);
    HASH_EIGHT(Four, state, messages + 4);
}

__attribute__((target("avx512f"))) static void hash_512(const uint64_t *state, uint64_t *messages)
{
    HASH_EIGHT(Eight, state, messages);
}

static void choose(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        hash_many = hash_512;
    else if (__builtin_cpu_supports("avx2"))
        hash_many = hash_256;
}
#else
static void choose(void) {}
#endif

/* ---- Characters: ASCII is known here, of all others grams_twin.page says what they are ---- */

enum { FENCE = 3, LOUDEST = 40, HELP = 30, FARTHEST = 1 << 20 };
static const int64_t TICK = (int64_t)1 << 40; /* the ticks of a line are counted above its score */

static uint8_t lower[128];      /* a letter or digit in lower case, or a space */
static uint8_t token_class[128]; /* of code; 0: none, 1: part of a name, 2: a token */
static int64_t scores[128];

typedef struct {
    uint16_t at; /* in the page's pool: its form in words, then its form in code; spaces end what is before them */
    uint8_t words, tokens;
    int16_t score;
    uint8_t ticks, joins;
} Form;

typedef struct {
    Form forms[256];
    uint8_t pool[];
} Page;

static Page *pages[0x1100]; /* filled as they are needed, with the lock, and kept: 1,200 differ from `spaces` */
static Page *spaces;

static void fill_ascii(void)
{
    for (int c = 0; c < 128; c++) {
        int upper = c >= 'A' && c <= 'Z', name = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        lower[c] = (uint8_t)(upper ? c + 32 : name ? c : ' ');
        token_class[c] = name || c == '_' ? 1 : c > ' ' && c < 127 && !strchr("\"'`,;", c) ? 2 : 0;
        scores[c] = name ? -1 : 0;
        if (c && strchr("[]()<>+\\&^%$@", c))
            scores[c] = 10;
        if (c && strchr("{};=_", c))
            scores[c] = 20;
        if (c == '`' || c == '~')
            scores[c] = TICK;
    }
}

static int fill_form(Form *form, PyObject *told, uint8_t *pool, size_t *used)
{
    const char *words, *tokens;
    Py_ssize_t words_length, tokens_length;
    int score, ticks, joins;
    if (!PyArg_ParseTuple(told, "y#y#iip", &words, &words_length, &tokens, &tokens_length, &score, &ticks, &joins))
        return -1;
    if (words_length > 120 || tokens_length > 120 || score < INT16_MIN || score > INT16_MAX || ticks < 0 || ticks > 99) {
        PyErr_SetString(PyExc_ValueError, "a character with a form that is too long");
        return -1;
    }
    *form = (Form){(uint16_t)*used, (uint8_t)words_length, (uint8_t)tokens_length, (int16_t)score, (uint8_t)ticks,
                   (uint8_t)joins};
    memcpy(pool + *used, words, (size_t)words_length);
    memcpy(pool + *used + words_length, tokens, (size_t)tokens_length);
    *used += (size_t)(words_length + tokens_length);
    return 0;
}

/* Return the page of that number; NULL with an exception. Needs the lock; whoever was first has filled it. */
static Page *filled(uint32_t number, PyObject *teller)
{
    PyObject *told = PyObject_CallFunction(teller, "I", (unsigned)number);
    if (!told)
        return NULL;
    if (!PyList_Check(told) || PyList_GET_SIZE(told) != 256) {
        Py_DECREF(told);
        PyErr_SetString(PyExc_TypeError, "a page is a list of 256 characters");
        return NULL;
    }
    static uint8_t pool[256 * 240];
    Form forms[256];
    size_t used = 0;
    for (int index = 0; index < 256; index++)
        if (fill_form(&forms[index], PyList_GET_ITEM(told, index), pool, &used) < 0) {
            Py_DECREF(told);
            return NULL;
        }
    Py_DECREF(told);
    Page *page = pages[number];
    if (page)
        return page;
    size_t size = sizeof(Page) + used;
    page = PyMem_RawMalloc(size);
    if (!page)
        return (Page *)PyErr_NoMemory();
    memcpy(page->forms, forms, sizeof forms);
    memcpy(page->pool, pool, used);
    if (used == 512 && spaces && !memcmp(page, spaces, size)) { /* most of Unicode is not assigned */
        PyMem_RawFree(page);
        page = spaces;
    }
#if defined(__GNUC__)
    __atomic_store_n(&pages[number], page, __ATOMIC_RELEASE);
#else
    pages[number] = page;
#endif
    return page;
}

static int fill_spaces(void)
{
    spaces = PyMem_RawCalloc(1, sizeof(Page) + 512);
    if (!spaces)
        return -1;
    memset(spaces->pool, ' ', 512);
    for (int index = 0; index < 256; index++)
        spaces->forms[index] = (Form){(uint16_t)(2 * index), 1, 1, 0, 0, 0};
    return 0;
}

/* ---- Text to words and code ---- */

typedef struct {
    uint8_t *begin, *at, *end;
    int open; /* in a word */
} Out;

typedef struct {
    Py_ssize_t begin, end;
    int score;
} Line;

enum Outcome { DONE, JOINED, NO_MEMORY, RAISED };

typedef struct {
    const void *data;
    Py_ssize_t length;
    PyObject *teller;     /* of pages; without one, a text with a page that is not filled is not read */
    PyThreadState *saved; /* while the lock is given up */
    int normalized;
    Out words, code;
    Line *lines;
    size_t taken, room;
    int loud; /* some line has a score above zero */
} Reader;

/* Have room for a character of `more` bytes, the space that ends a word and one that is written over. */
static inline int reserve(Out *out, size_t more)
{
    if ((size_t)(out->end - out->at) >= more + 2)
        return 0;
    size_t used = (size_t)(out->at - out->begin), size = 2 * used + more + 64;
    uint8_t *grown = PyMem_RawRealloc(out->begin, size);
    if (!grown)
        return -1;
    *out = (Out){grown, grown + used, grown + size, out->open};
    return 0;
}

/* Put a byte of a word, or end the word with a space. */
INLINE void step(Out *out, uint8_t octet)
{
    int open = octet != ' ';
    *out->at = octet;
    out->at += open | out->open;
    out->open = open;
}

static void close_out(Out *out)
{
    if (!out->open && out->at > out->begin)
        out->at--;
}

INLINE Py_UCS4 character(const void *data, int kind, Py_ssize_t at)
{
    return kind == 1 ? ((const Py_UCS1 *)data)[at] : kind == 2 ? ((const Py_UCS2 *)data)[at] : ((const Py_UCS4 *)data)[at];
}

static Page *page_of(Reader *reader, Py_UCS4 point)
{
    uint32_t number = point >> 8;
#if defined(__GNUC__)
    Page *page = __atomic_load_n(&pages[number], __ATOMIC_ACQUIRE);
#else
    Page *page = pages[number];
#endif
    if (page || !reader->teller)
        return page;
    if (reader->saved)
        PyEval_RestoreThread(reader->saved);
    page = filled(number, reader->teller);
    if (reader->saved)
        reader->saved = PyEval_SaveThread();
    return page;
}

static int end_line(Reader *reader, Py_ssize_t begin, Py_ssize_t end, int64_t sum)
{
    int64_t ticks = (sum + TICK / 2) >> 40, score = sum - ticks * TICK;
    if (!score || ticks >= FENCE)
        return 0;
    if (reader->taken == reader->room) {
        size_t room = reader->room ? 2 * reader->room : 64;
        Line *grown = PyMem_RawRealloc(reader->lines, room * sizeof(Line));
        if (!grown)
            return -1;
        reader->lines = grown;
        reader->room = room;
    }
    reader->loud |= score > 0;
    reader->lines[reader->taken++] =
        (Line){begin, end, (int)(score > FARTHEST ? FARTHEST : score < -FARTHEST ? -FARTHEST : score)};
    return 0;
}

INLINE enum Outcome read_words(Reader *reader, int kind, int ascii)
{
    const void *data = reader->data;
    Py_ssize_t length = reader->length, begin = 0;
    Out out = reader->words;
    int64_t sum = 0;
    enum Outcome outcome = DONE;
    if (reserve(&out, (size_t)length) < 0)
        outcome = NO_MEMORY;
    for (Py_ssize_t at = 0; at < length && outcome == DONE; at++) {
        Py_UCS4 point = character(data, kind, at);
        if (ascii || point < 128) {
            if (!ascii && reserve(&out, 1) < 0)
                outcome = NO_MEMORY;
            else
                step(&out, lower[point]);
            sum += scores[point];
            if (point == '\n' || point == '\r') {
                if (end_line(reader, begin, at, sum) < 0)
                    outcome = NO_MEMORY;
                begin = at + 1;
                sum = 0;
            }
            continue;
        }
        const Page *page = page_of(reader, point);
        if (!page) {
            outcome = RAISED;
            break;
        }
        const Form *form = &page->forms[point & 255];
        if (form->joins && !reader->normalized)
            outcome = JOINED;
        else if (reserve(&out, form->words) < 0)
            outcome = NO_MEMORY;
        else
            for (int index = 0; index < form->words; index++)
                step(&out, page->pool[form->at + index]);
        sum += form->score + form->ticks * TICK;
    }
    reader->words = out;
    if (outcome == DONE && end_line(reader, begin, length, sum) < 0)
        return NO_MEMORY;
    return outcome;
}

/* Put the tokens of a line; all its pages are filled. */
static int read_line(Reader *reader, int kind, const Line *line)
{
    Out *out = &reader->code;
    for (Py_ssize_t at = line->begin; at < line->end; at++) {
        Py_UCS4 point = character(reader->data, kind, at);
        if (reserve(out, 120) < 0)
            return -1;
        if (point < 128) {
            int token = token_class[point];
            if (token != 1)
                step(out, ' ');
            if (token)
                step(out, (uint8_t)point);
            if (token == 2)
                step(out, ' ');
            continue;
        }
        const Page *page = pages[point >> 8];
        const Form *form = &page->forms[point & 255];
        for (int index = 0; index < form->tokens; index++)
            step(out, page->pool[form->at + form->words + index]);
    }
    step(out, ' ');
    return 0;
}

/* Return what the line `step` after or before says of one, 0 if there is none. */
static inline int beside(const Reader *reader, size_t at, int step)
{
    size_t near = at + (size_t)step; /* before the first it wraps around */
    int score = near < reader->taken ? reader->lines[near].score : 0;
    return score > LOUDEST ? LOUDEST : score < -LOUDEST ? -LOUDEST : score;
}

static enum Outcome read_code(Reader *reader, int kind)
{
    for (size_t at = 0; at < reader->taken; at++) {
        int before = beside(reader, at, -2) + beside(reader, at, -1);
        int behind = beside(reader, at, 1) + beside(reader, at, 2);
        int help = before > behind ? before : behind;
        if (reader->lines[at].score + (help < HELP ? help : HELP) > 0 && read_line(reader, kind, &reader->lines[at]) < 0)
            return NO_MEMORY;
    }
    return DONE;
}

static enum Outcome read_text(Reader *reader, int kind, int ascii)
{
    enum Outcome outcome = ascii       ? read_words(reader, 1, 1)
                           : kind == 1 ? read_words(reader, 1, 0)
                           : kind == 2 ? read_words(reader, 2, 0)
                                       : read_words(reader, 4, 0);
    if (outcome == DONE && reader->loud)
        outcome = read_code(reader, kind);
    close_out(&reader->words);
    close_out(&reader->code);
    return outcome;
}

static void forget(Reader *reader)
{
    PyMem_RawFree(reader->words.begin);
    PyMem_RawFree(reader->code.begin);
    PyMem_RawFree(reader->lines);
    *reader = (Reader){0};
}

static PyObject *grams_read(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (count != 3 || !PyUnicode_Check(args[0]) || !PyCallable_Check(args[1]) || !PyBool_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "read(text, page, normalized)");
        return NULL;
    }
    PyObject *text = args[0], *found = NULL;
    int kind = PyUnicode_KIND(text), ascii = PyUnicode_IS_ASCII(text);
    Reader reader = {.data = PyUnicode_DATA(text), .length = PyUnicode_GET_LENGTH(text), .teller = args[1],
                     .normalized = args[2] == Py_True};
    if (reader.length > UNALONE)
        reader.saved = PyEval_SaveThread();
    enum Outcome outcome = read_text(&reader, kind, ascii);
    if (reader.saved)
        PyEval_RestoreThread(reader.saved);
    if (outcome == DONE)
        found = Py_BuildValue("y#y#", reader.words.begin ? (char *)reader.words.begin : "",
                              reader.words.at - reader.words.begin,
                              reader.code.begin ? (char *)reader.code.begin : "", reader.code.at - reader.code.begin);
    else if (outcome == JOINED)
        found = Py_NewRef(Py_None);
    else if (outcome == NO_MEMORY)
        PyErr_NoMemory();
    forget(&reader);
    return found;
}

/* ---- Tokens to sums of runs ---- */

enum { UNIT = 20, SHORTEST = 6, LONGEST = 23, PAIRS_LOG = 15, AT_ONCE = 16 };
static const uint64_t MASK60 = ((uint64_t)1 << 60) - 1;

typedef struct {
    size_t k, w, worth;
} Shape;

static const Shape SHAPES[3] = {{6, 8, UNIT}, {12, 12, 12}, {24, 24, 5}};
static const Shape CODE = {24, 24, UNIT};

static inline int letters(uint32_t point)
{
    if ((point >= 0x3005 && point <= 0x9FFF) || (point >= 0xF900 && point <= 0xFAFF) ||
        (point >= 0x20000 && point <= 0x3FFFF))
        return 1;
    return (point >= 0x0E00 && point <= 0x0EFF) || (point >= 0x1000 && point <= 0x109F) ||
                   (point >= 0x1780 && point <= 0x17FF)
               ? 2
               : 0;
}

static inline int kind_of(const uint8_t *token, size_t length)
{
    uint32_t lead = token[0];
    if (lead < 0xE0 || length < (lead < 0xF0 ? 3 : 4))
        return 0;
    if (lead < 0xF0)
        return letters((lead & 15) << 12 | (token[1] & 63u) << 6 | (token[2] & 63u));
    return letters((lead & 7) << 18 | (token[1] & 63u) << 12 | (token[2] & 63u) << 6 | (token[3] & 63u));
}

/* A token seen before. What is compared is its bytes, zeros behind them, and its length in the last byte. */
typedef struct {
    uint64_t text[3], value;
} Slot;

/* Two places for tokens that are mixed to the same number: the latest one, and the one before it. */
typedef struct {
    Slot latest, before;
} Pair;

typedef struct {
    PyObject_HEAD
    PyThread_type_lock lock; /* of the pairs */
    uint64_t state[8];
    Digests prompts, outputs;
    void *room; /* of the pairs, each of which lies in one line of the cache */
    Pair *pairs;
} Grams;

static uint64_t parts[LONGEST + 1][3], lengths[LONGEST + 1]; /* what of 24 bytes is a token's, by its length */

static void fill_parts(void)
{
    for (int length = 0; length <= LONGEST; length++) {
        uint8_t last[8] = {0};
        memset(parts[length], 0xFF, (size_t)length);
        last[7] = (uint8_t)length;
        memcpy(&lengths[length], last, 8);
    }
}

static inline int is_of(const Slot *slot, const uint64_t *text)
{
    return !((slot->text[0] ^ text[0]) | (slot->text[1] ^ text[1]) | (slot->text[2] ^ text[2]));
}

/* A token whose hash is looked for; without a pair if it is too long for one. */
typedef struct {
    uint64_t text[3];
    Pair *pair;
    const uint8_t *token;
    size_t length;
} Sought;

static inline void seek(Grams *self, Sought *sought, const uint8_t *token, size_t length, const uint8_t *end)
{
    uint64_t *text = sought->text;
    *sought = (Sought){{0}, NULL, token, length};
    if (length > LONGEST)
        return;
    if (end - token >= 24)
        memcpy(text, token, 24);
    else
        memcpy(text, token, length);
    text[0] &= parts[length][0];
    text[1] &= parts[length][1];
    text[2] = (text[2] & parts[length][2]) | lengths[length];
    uint64_t mixed = text[0] * 0x9E3779B97F4A7C15u ^ text[1] * 0xC2B2AE3D27D4EB4Fu ^ text[2] * 0x165667B19E3779F9u;
    mixed = (mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93u;
    sought->pair = &self->pairs[mixed >> (64 - PAIRS_LOG)];
    PREFETCH(sought->pair);
}

static inline uint64_t found_hash(Grams *self, const Sought *sought)
{
    Pair *pair = sought->pair;
    const uint64_t *text = sought->text;
    if (!pair)
        return hash(self->state, sought->token, sought->length) & MASK60;
    int latest = is_of(&pair->latest, text);
    if (latest | is_of(&pair->before, text)) /* which of them it is cannot be predicted */
        return latest ? pair->latest.value : pair->before.value;
    pair->before = pair->latest;
    memcpy(pair->latest.text, text, sizeof pair->latest.text);
    return pair->latest.value = hash(self->state, sought->token, sought->length) & MASK60;
}

/* Return the end of the token that begins at `at`. */
static inline const uint8_t *token_end(const uint8_t *at, const uint8_t *end)
{
#if defined(__GNUC__) && defined(__SSE2__)
    for (; end - at >= 16; at += 16) {
        __m128i equal = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)at), _mm_set1_epi8(' '));
        int mask = _mm_movemask_epi8(equal);
        if (mask)
            return at + __builtin_ctz((unsigned)mask);
    }
#elif defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (; end - at >= 8; at += 8) {
        uint64_t eight;
        memcpy(&eight, at, 8);
        eight ^= 0x2020202020202020u;
        eight = (eight - 0x0101010101010101u) & ~eight & 0x8080808080808080u;
        if (eight)
            return at + (__builtin_ctzll(eight) >> 3);
    }
#endif
    while (at < end && *at != ' ')
        at++;
    return at;
}

static size_t count_tokens(const uint8_t *at, size_t length)
{
    size_t found = 0;
    for (size_t index = 0; index < length; index++)
        found += at[index] == ' ';
    return found + 1;
}

/* The tokens of a text: their hashes, which become the sums of runs, and their kinds. */
typedef struct {
    uint64_t *sums;
    uint8_t *kinds;
    size_t count, worth;
    int mixed; /* some are letters */
} Tokens;

static int hash_tokens(Grams *self, const uint8_t *at, size_t length, Tokens *tokens)
{
    const uint8_t *end = at + length;
    size_t room = length ? count_tokens(at, length) : 0;
    *tokens = (Tokens){0};
    if (!room)
        return 0;
    tokens->sums = PyMem_RawMalloc(room * (sizeof(uint64_t) + 1));
    if (!tokens->sums)
        return -1;
    tokens->kinds = (uint8_t *)(tokens->sums + room);
    while (at < end) {
        Sought sought[AT_ONCE];
        size_t count = 0;
        for (; at < end && count < AT_ONCE; at++) {
            const uint8_t *stop = token_end(at, end);
            size_t size = (size_t)(stop - at);
            if (size) {
                int kind = kind_of(at, size);
                seek(self, &sought[count], at, size, end);
                tokens->kinds[tokens->count + count++] = (uint8_t)kind;
                tokens->worth += SHAPES[kind].worth;
                tokens->mixed |= kind;
            }
            at = stop;
        }
        for (size_t each = 0; each < count; each++)
            tokens->sums[tokens->count++] = found_hash(self, &sought[each]);
    }
    return 0;
}

/* Turn hashes into the sums of runs of three, or the sums of runs of `length` into those of twice as many. */
static size_t threes(uint64_t *sums, size_t count)
{
    if (count < 3)
        return 0;
    for (size_t at = 0; at + 2 < count; at++)
        sums[at] = (sums[at] + (sums[at + 1] << 1) + (sums[at + 2] << 2)) & MASK60;
    return count - 2;
}

static size_t doubled(uint64_t *sums, size_t count, size_t length)
{
    if (count <= length)
        return 0;
    for (size_t at = 0; at + length < count; at++)
        sums[at] = (sums[at] + (sums[at + length] << length)) & MASK60;
    return count - length;
}

/* Make the sums of runs of half of k; return how many there are. */
static size_t halves(uint64_t *sums, size_t count, size_t k)
{
    count = threes(sums, count);
    for (size_t length = 3; 2 * length < k; length *= 2)
        count = doubled(sums, count, length);
    return count;
}

/* A stretch of words of one shape: see grams_twin._stretches. */
typedef struct {
    size_t begin, end;
    int kind;
} Stretch;

static int next_stretch(const Tokens *tokens, Stretch *stretch)
{
    const uint8_t *kinds = tokens->kinds;
    size_t begin = stretch->end, at = begin, count = tokens->count;
    if (!tokens->mixed) {
        *stretch = (Stretch){begin, count, 0};
        return begin < count && count - begin >= SHORTEST;
    }
    int kind = 0;
    while (at < count) {
        size_t stop = at;
        while (stop < count && !kinds[stop])
            stop++;
        if (stop - at >= SHORTEST) {
            *stretch = kind ? (Stretch){begin, at, kind} : (Stretch){at, stop, 0};
            return 1;
        }
        if (stop < count) {
            if (kind && kinds[stop] != kind) {
                *stretch = (Stretch){begin, stop, kind};
                return 1;
            }
            kind = kinds[stop];
        }
        at = stop + 1;
    }
    *stretch = (Stretch){begin, count, kind};
    return kind != 0;
}

/* ---- Sets of sums: open addressing; a sum has 60 bits, the mark above them tells it from an empty place ---- */

typedef struct {
    uint64_t *places;
    size_t mask; /* of the number of places, a power of two; at least one is empty */
} Set;

static size_t places_for(size_t count)
{
    size_t places = 16;
    while (places < 2 * count)
        places *= 2;
    return places;
}

/* Return where a marked sum is or would be. A sum is as good as random, but for what an asker repeats. */
static inline uint64_t *place(const Set *set, uint64_t marked)
{
    size_t at = (size_t)(marked ^ marked >> 29) & set->mask;
    for (size_t tried = 0; tried < set->mask && set->places[at] && set->places[at] != marked; tried++)
        at = (at + 1) & set->mask;
    return &set->places[at];
}

static const uint64_t KNOWN = (uint64_t)1 << 60;

static inline int knows(const Set *set, uint64_t sum) { return set->places && *place(set, sum | KNOWN) == (sum | KNOWN); }

static void learn(const Set *set, const uint64_t *sums, size_t count)
{
    for (size_t at = 0; at < count; at++)
        *place(set, sums[at] | KNOWN) = sums[at] | KNOWN;
}

/* ---- A text's grams ---- */

typedef struct {
    Tokens words, code;
    Set known, seen;
    uint64_t *grams;
    size_t count, covered, lanes[3];
} Taken;

/* Keep a gram, unless the prompt has it or the lane has it already. */
static inline void keep(Taken *taken, uint64_t sum, int lane)
{
    uint64_t marked = sum | (uint64_t)(lane + 1) << 60, *at = place(&taken->seen, marked);
    if (*at == marked)
        return;
    *at = marked;
    if (knows(&taken->known, sum))
        return;
    taken->grams[taken->count++] = sum;
    taken->lanes[lane]++;
}

/* Keep the least of every w neighboring runs, of equals the first. */
static void winnow(Taken *taken, const uint64_t *sums, size_t count, size_t w, int lane)
{
    if (!count)
        return;
    size_t least = 0;
    for (size_t at = 1; at < count && at < w; at++)
        if (sums[at] < sums[least])
            least = at;
    keep(taken, sums[least], lane);
    for (size_t at = w; at < count; at++) {
        if (sums[at] < sums[least]) {
            least = at;
        } else if (least + w <= at) {
            least = at - w + 1;
            for (size_t other = least + 1; other <= at; other++)
                if (sums[other] < sums[least])
                    least = other;
        } else {
            continue;
        }
        keep(taken, sums[least], lane);
    }
}

static void cover(Taken *taken, const Stretch *stretch, size_t count, size_t length)
{
    size_t end = stretch->begin;
    for (size_t at = stretch->begin; at < stretch->begin + count; at++)
        if (knows(&taken->known, taken->words.sums[at])) {
            for (size_t token = at > end ? at : end; token < at + length; token++)
                taken->covered += SHAPES[taken->words.kinds[token]].worth;
            end = at + length;
        }
}

/* Bytes: words, or tokens of code. */
typedef struct {
    const uint8_t *at;
    size_t length;
} Octets;

static int take(Grams *self, Octets words, Octets code, Taken *taken)
{
    if (hash_tokens(self, words.at, words.length, &taken->words) < 0 ||
        hash_tokens(self, code.at, code.length, &taken->code) < 0)
        return -1;
    size_t tokens = taken->words.count + taken->code.count, places = places_for(tokens);
    taken->seen = (Set){PyMem_RawCalloc(places, sizeof(uint64_t)), places - 1};
    taken->grams = PyMem_RawMalloc((tokens + 1) * sizeof(uint64_t));
    if (!taken->seen.places || !taken->grams)
        return -1;
    for (int lane = 0; lane < 2; lane++)
        for (Stretch stretch = {0}; next_stretch(&taken->words, &stretch);) {
            if ((stretch.kind != 0) != lane)
                continue;
            const Shape *shape = &SHAPES[stretch.kind];
            uint64_t *sums = taken->words.sums + stretch.begin;
            size_t count = halves(sums, stretch.end - stretch.begin, shape->k);
            if (taken->known.places)
                cover(taken, &stretch, count, shape->k / 2);
            winnow(taken, sums, doubled(sums, count, shape->k / 2), shape->w, lane);
        }
    uint64_t *sums = taken->code.sums;
    size_t count = halves(sums, taken->code.count, CODE.k);
    winnow(taken, sums, doubled(sums, count, CODE.k / 2), CODE.w, 2);
    return 0;
}

static int echoed(const Taken *taken) { return 4 * taken->covered > taken->words.worth; }

static void drop(Taken *taken)
{
    PyMem_RawFree(taken->words.sums);
    PyMem_RawFree(taken->code.sums);
    PyMem_RawFree(taken->seen.places);
    PyMem_RawFree(taken->grams);
}

static void put_all_little(uint64_t *values, size_t count)
{
    for (size_t at = 0; at < count; at++)
        put_little((uint8_t *)&values[at], values[at]);
}

static void enter(Grams *self)
{
    if (!PyThread_acquire_lock(self->lock, NOWAIT_LOCK)) {
        Py_BEGIN_ALLOW_THREADS
        PyThread_acquire_lock(self->lock, WAIT_LOCK);
        Py_END_ALLOW_THREADS
    }
}

static PyObject *grams_take(Grams *self, PyObject *args)
{
    Py_buffer words, code, echo = {0};
    PyObject *known, *found = NULL;
    if (!PyArg_ParseTuple(args, "y*y*O", &words, &code, &known))
        return NULL;
    Taken taken = {0};
    if (known != Py_None) {
        if (PyObject_GetBuffer(known, &echo, PyBUF_SIMPLE) < 0)
            goto release;
        size_t places = (size_t)echo.len / sizeof(uint64_t);
        if (places * sizeof(uint64_t) != (size_t)echo.len || (places & (places - 1)) || (uintptr_t)echo.buf % 8) {
            PyErr_SetString(PyExc_ValueError, "no echo of a prompt");
            goto release;
        }
        if (places)
            taken.known = (Set){echo.buf, places - 1};
    }
    enter(self);
    PyThreadState *saved = words.len + code.len > UNALONE ? PyEval_SaveThread() : NULL;
    int failed = take(self, (Octets){words.buf, (size_t)words.len}, (Octets){code.buf, (size_t)code.len}, &taken);
    if (saved)
        PyEval_RestoreThread(saved);
    PyThread_release_lock(self->lock);
    if (failed) {
        PyErr_NoMemory();
    } else {
        put_all_little(taken.grams, taken.count);
        found = Py_BuildValue("y#nn(nnn)O", (char *)taken.grams, (Py_ssize_t)(taken.count * 8),
                              (Py_ssize_t)(taken.words.worth / UNIT), (Py_ssize_t)taken.code.count,
                              (Py_ssize_t)taken.lanes[0], (Py_ssize_t)taken.lanes[1], (Py_ssize_t)taken.lanes[2],
                              echoed(&taken) ? Py_True : Py_False);
    }
    drop(&taken);
release:
    if (echo.obj)
        PyBuffer_Release(&echo);
    PyBuffer_Release(&words);
    PyBuffer_Release(&code);
    return found;
}

static void take_echo(Tokens *words, Tokens *code, const Set *set)
{
    for (Stretch stretch = {0}; next_stretch(words, &stretch);) {
        size_t k = SHAPES[stretch.kind].k;
        uint64_t *sums = words->sums + stretch.begin;
        size_t count = halves(sums, stretch.end - stretch.begin, k);
        learn(set, sums, count);
        learn(set, sums, doubled(sums, count, k / 2));
    }
    learn(set, code->sums, doubled(code->sums, halves(code->sums, code->count, CODE.k), CODE.k / 2));
}

static PyObject *grams_echo(Grams *self, PyObject *args)
{
    Py_buffer words, code;
    if (!PyArg_ParseTuple(args, "y*y*", &words, &code))
        return NULL;
    Tokens said, coded = {0};
    PyObject *made = NULL;
    enter(self);
    PyThreadState *saved = words.len + code.len > UNALONE ? PyEval_SaveThread() : NULL;
    int failed = hash_tokens(self, words.buf, (size_t)words.len, &said) < 0 ||
                 hash_tokens(self, code.buf, (size_t)code.len, &coded) < 0;
    if (saved)
        PyEval_RestoreThread(saved);
    PyThread_release_lock(self->lock);
    size_t most = 2 * said.count + coded.count, places = most ? places_for(most) : 0;
    if (failed) {
        PyErr_NoMemory();
    } else if ((made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(places * sizeof(uint64_t)))) && places) {
        uint8_t *table = (uint8_t *)PyBytes_AS_STRING(made);
        saved = words.len + code.len > UNALONE ? PyEval_SaveThread() : NULL;
        memset(table, 0, places * sizeof(uint64_t));
        take_echo(&said, &coded, &(Set){(uint64_t *)(void *)table, places - 1});
        if (saved)
            PyEval_RestoreThread(saved);
    }
    PyMem_RawFree(said.sums);
    PyMem_RawFree(coded.sums);
    PyBuffer_Release(&words);
    PyBuffer_Release(&code);
    return made;
}

/* ---- Pieces and keys ---- */

INLINE uint8_t is_digit(uint8_t octet) { return (uint8_t)(octet - '0') < 10; }

static PyObject *grams_count(PyObject *module, PyObject *argument)
{
    (void)module;
    Py_buffer words;
    if (PyObject_GetBuffer(argument, &words, PyBUF_SIMPLE) < 0)
        return NULL;
    const uint8_t *octets = words.buf;
    Py_ssize_t spaces = 0, numbers = words.len && is_digit(octets[0]);
    for (Py_ssize_t at = 0, end; at < words.len; at = end) {
        uint8_t some_spaces = 0, some_numbers = 0; /* so narrow that a vector counts many bytes at once */
        end = words.len - at > UINT8_MAX ? at + UINT8_MAX : words.len;
        for (Py_ssize_t each = at; each < end; each++)
            some_spaces += octets[each] == ' ';
        for (Py_ssize_t each = at ? at : 1; each < end; each++)
            some_numbers += is_digit(octets[each]) & !is_digit(octets[each - 1]);
        spaces += some_spaces;
        numbers += some_numbers;
    }
    PyObject *counts = Py_BuildValue("nn", words.len ? spaces + 1 : 0, numbers);
    PyBuffer_Release(&words);
    return counts;
}

static PyObject *grams_cut(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer tokens;
    Py_ssize_t start, enough, most;
    int code;
    if (!PyArg_ParseTuple(args, "y*nnnp", &tokens, &start, &enough, &most, &code))
        return NULL;
    const uint8_t *begin = tokens.buf, *end = begin + tokens.len, *stop = NULL;
    const uint8_t *at = begin + (start < 0 ? 0 : start > tokens.len ? tokens.len : start);
    const uint8_t *first = at;
    size_t overlap = code ? CODE.k + CODE.w - 2 : 0;
    Py_ssize_t worth = 0;
    while (at < end) {
        const uint8_t *token = at;
        at = token_end(token, end);
        const Shape *shape = code || at == token ? &CODE : &SHAPES[kind_of(token, (size_t)(at - token))];
        worth += (Py_ssize_t)shape->worth;
        if (worth > most * UNIT)
            break;
        if (worth <= enough * UNIT) {
            stop = at;
            overlap = overlap > shape->k + shape->w - 2 ? overlap : shape->k + shape->w - 2;
        }
        if (at++ >= end)
            worth = 0;
    }
    Py_ssize_t ends = tokens.len, next = tokens.len;
    if (worth > most * UNIT && stop) {
        ends = stop - begin;
        for (; overlap && stop > first; overlap--)
            while (stop > first && *--stop != ' ')
                continue;
        next = stop > first ? stop + 1 - begin : first - begin;
    }
    PyBuffer_Release(&tokens);
    return Py_BuildValue("nn", ends, next);
}

/* Put the key of each gram for the month of `state`, 8 bytes each; where they come from may be where they go. */
static void seal_all(const uint64_t *state, const uint8_t *from, uint8_t *to, size_t left)
{
    while (left) {
        uint64_t lanes[LANES] = {0};
        size_t count = left < LANES ? left : LANES;
        for (size_t lane = 0; lane < count; lane++)
            lanes[lane] = little(from + 8 * lane);
        hash_many(state, lanes);
        for (size_t lane = 0; lane < count; lane++)
            put_little(to + 8 * lane, lanes[lane] & (((uint64_t)1 << 36) - 1));
        left -= count;
        from += 8 * count;
        to += 8 * count;
    }
}

static PyObject *grams_seal(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer key, grams;
    if (!PyArg_ParseTuple(args, "y*y*", &key, &grams))
        return NULL;
    PyObject *made = NULL;
    if (key.len < 1 || key.len > 64)
        PyErr_Format(PyExc_ValueError, "a key of %zd bytes; allowed: 1 to 64", key.len);
    else if (grams.len % 8)
        PyErr_Format(PyExc_ValueError, "grams of %zd bytes; allowed: a multiple of 8", grams.len);
    else
        made = PyBytes_FromStringAndSize(NULL, grams.len);
    if (made) {
        uint64_t state[8];
        PyThreadState *saved = grams.len > UNALONE ? PyEval_SaveThread() : NULL;
        keyed(state, key.buf, (size_t)key.len, "guard month");
        seal_all(state, grams.buf, (uint8_t *)PyBytes_AS_STRING(made), (size_t)grams.len / 8);
        if (saved)
            PyEval_RestoreThread(saved);
    }
    PyBuffer_Release(&key);
    PyBuffer_Release(&grams);
    return made;
}

/* ---- Choices: all that is made of their texts, many at once, without the interpreter ---- */

typedef struct {
    const void *data;
    Py_ssize_t length;
    int kind, ascii;
} Source;

typedef struct {
    PyObject *prompt; /* held by who called; NULL if the choice is not to be looked at */
    Source asked, said;
    int done, echoed;
    uint8_t prompt_digest[DIGEST], digest[DIGEST];
    size_t count, worth, code, keys;
    unsigned tag;
    uint64_t *sealed;
} Choice;

/* The prompt of the choice before: choices of one request share it. */
typedef struct {
    PyObject *prompt;
    int read;
    uint8_t digest[DIGEST];
    unsigned tag;
    Set echo;
} Asked;

static int has_escapes(const Source *source)
{
    if (source->kind == 1)
        return memchr(source->data, '\\', (size_t)source->length) != NULL;
    for (Py_ssize_t at = 0; at < source->length; at++)
        if (character(source->data, source->kind, at) == '\\')
            return 1;
    return 0;
}

/* Read a text that needs nothing of the interpreter; any other is not DONE. */
static enum Outcome read_alone(Reader *reader, const Source *source)
{
    *reader = (Reader){.data = source->data, .length = source->length};
    return has_escapes(source) ? JOINED : read_text(reader, source->kind, source->ascii);
}

static Octets octets_of(const Out *out) { return (Octets){out->begin, (size_t)(out->at - out->begin)}; }

static int ask(Grams *self, const Choice *choice, Asked *asked, int fingerprints)
{
    Reader reader;
    PyMem_RawFree(asked->echo.places);
    *asked = (Asked){.prompt = choice->prompt};
    enum Outcome outcome = read_alone(&reader, &choice->asked);
    Tokens said = {0}, coded = {0};
    int failed = outcome == NO_MEMORY;
    if (outcome == DONE) {
        Octets words = octets_of(&reader.words), code = octets_of(&reader.code);
        asked->read = 1;
        put_digest(&self->prompts, words.at, words.length, asked->digest);
        asked->tag = asked->digest[0] | (unsigned)asked->digest[1] << 8;
        asked->tag = !words.length ? 0 : asked->tag ? asked->tag : 1;
        if (fingerprints) {
            failed = hash_tokens(self, words.at, words.length, &said) < 0 ||
                     hash_tokens(self, code.at, code.length, &coded) < 0;
            size_t most = 2 * said.count + coded.count, places = most ? places_for(most) : 0;
            if (!failed && places) {
                asked->echo = (Set){PyMem_RawCalloc(places, sizeof(uint64_t)), places - 1};
                failed = !asked->echo.places;
                if (!failed)
                    take_echo(&said, &coded, &asked->echo);
            }
        }
    }
    PyMem_RawFree(said.sums);
    PyMem_RawFree(coded.sums);
    forget(&reader);
    return failed ? -1 : 0;
}

/* Look at one choice; `month` is the state that seals begin with, NULL if there are to be no fingerprints. */
static int look(Grams *self, Choice *choice, Asked *asked, const uint64_t *month)
{
    if (choice->prompt != asked->prompt && ask(self, choice, asked, month != NULL) < 0)
        return -1;
    if (!asked->read) /* nor is there any need to read what answers it */
        return 0;
    Reader reader;
    enum Outcome outcome = read_alone(&reader, &choice->said);
    Taken taken = {.known = asked->echo};
    int failed = outcome == NO_MEMORY;
    if (outcome == DONE) {
        Octets words = octets_of(&reader.words), code = octets_of(&reader.code);
        code.length = words.length ? code.length : 0; /* what has no words is no part of an answer */
        choice->done = 1;
        memcpy(choice->prompt_digest, asked->digest, DIGEST);
        choice->tag = asked->tag;
        put_digest(&self->outputs, words.at, words.length, choice->digest);
        choice->count = words.length ? count_tokens(words.at, words.length) : 0;
        if (month && !(failed = take(self, words, code, &taken) < 0)) {
            choice->worth = taken.words.worth / UNIT;
            choice->code = taken.code.count;
            choice->echoed = echoed(&taken);
            choice->keys = taken.count;
            choice->sealed = taken.grams;
            taken.grams = NULL;
            put_all_little(choice->sealed, choice->keys);
            seal_all(month, (uint8_t *)choice->sealed, (uint8_t *)choice->sealed, choice->keys);
        }
    }
    drop(&taken);
    forget(&reader);
    return failed ? -1 : 0;
}

/* Fill in what a pair of texts is. Returns how many characters, -1 with an exception. */
static Py_ssize_t fill_choice(Choice *choice, PyObject *pair)
{
    if (pair == Py_None)
        return 0;
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_SetString(PyExc_TypeError, "a choice is a pair of texts, or None");
        return -1;
    }
    Py_ssize_t sum = 0;
    for (int which = 0; which < 2; which++) {
        PyObject *text = PyTuple_GET_ITEM(pair, which);
        if (!PyUnicode_Check(text) || PyUnicode_READY(text) < 0) {
            PyErr_SetString(PyExc_TypeError, "a choice is a pair of texts, or None");
            return -1;
        }
        *(which ? &choice->said : &choice->asked) = (Source){PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text),
                                                             (int)PyUnicode_KIND(text), PyUnicode_IS_ASCII(text)};
        sum += PyUnicode_GET_LENGTH(text);
    }
    choice->prompt = PyTuple_GET_ITEM(pair, 0);
    return sum;
}

static PyObject *grams_look(Grams *self, PyObject *args)
{
    PyObject *pairs, *found = NULL;
    Py_buffer key = {0};
    if (!PyArg_ParseTuple(args, "O!z*", &PyList_Type, &pairs, &key))
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(pairs), characters = 0;
    Choice *choices = PyMem_Calloc((size_t)count + 1, sizeof(Choice));
    PyObject *held = PyList_GetSlice(pairs, 0, count); /* whatever others do to theirs */
    if (key.buf && (key.len < 1 || key.len > 64)) {
        PyErr_Format(PyExc_ValueError, "a key of %zd bytes; allowed: 1 to 64", key.len);
        goto release;
    }
    if (!choices || !held) {
        PyErr_NoMemory();
        goto release;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        Py_ssize_t more = fill_choice(&choices[at], PyList_GET_ITEM(held, at));
        if (more < 0)
            goto release;
        characters += more;
    }
    enter(self);
    PyThreadState *saved = characters > UNALONE ? PyEval_SaveThread() : NULL;
    uint64_t month[8];
    if (key.buf)
        keyed(month, key.buf, (size_t)key.len, "guard month");
    Asked asked = {0};
    int failed = 0;
    for (Py_ssize_t at = 0; at < count && !failed; at++)
        if (choices[at].prompt)
            failed = look(self, &choices[at], &asked, key.buf ? month : NULL) < 0;
    PyMem_RawFree(asked.echo.places);
    if (saved)
        PyEval_RestoreThread(saved);
    PyThread_release_lock(self->lock);
    if (failed)
        PyErr_NoMemory();
    else
        found = PyList_New(count);
    for (Py_ssize_t at = 0; at < count && found; at++) {
        const Choice *choice = &choices[at];
        PyObject *each = !choice->done
                             ? Py_NewRef(Py_None)
                             : Py_BuildValue("y#y#nIy#nnO", choice->prompt_digest, (Py_ssize_t)DIGEST, choice->digest,
                                             (Py_ssize_t)DIGEST, (Py_ssize_t)choice->count, choice->tag,
                                             choice->keys ? (char *)choice->sealed : "", (Py_ssize_t)choice->keys * 8,
                                             (Py_ssize_t)choice->worth, (Py_ssize_t)choice->code,
                                             choice->echoed ? Py_True : Py_False);
        if (each)
            PyList_SET_ITEM(found, at, each);
        else
            Py_CLEAR(found);
    }
release:
    for (Py_ssize_t at = 0; at < count && choices; at++)
        PyMem_RawFree(choices[at].sealed);
    PyMem_Free(choices);
    Py_XDECREF(held);
    if (key.obj)
        PyBuffer_Release(&key);
    return found;
}

/* ---- The module ---- */

static PyObject *grams_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    Py_buffer key;
    if (!PyArg_ParseTuple(args, "y*", &key))
        return NULL;
    Grams *self = NULL;
    if (key.len < 1 || key.len > 64)
        PyErr_Format(PyExc_ValueError, "a key of %zd bytes; allowed: 1 to 64", key.len);
    else
        self = (Grams *)type->tp_alloc(type, 0);
    if (self) {
        keyed(self->state, key.buf, (size_t)key.len, "guard word");
        digests_of(&self->prompts, key.buf, (size_t)key.len, "guard prompt");
        digests_of(&self->outputs, key.buf, (size_t)key.len, "guard output");
        self->lock = PyThread_allocate_lock();
        self->room = PyMem_Calloc(((size_t)1 << PAIRS_LOG) + 1, sizeof(Pair));
        self->pairs = (Pair *)(((uintptr_t)self->room + sizeof(Pair) - 1) & ~(uintptr_t)(sizeof(Pair) - 1));
        if (!self->room || !self->lock) {
            Py_DECREF(self);
            self = (Grams *)PyErr_NoMemory();
        }
    }
    PyBuffer_Release(&key);
    return (PyObject *)self;
}

static void grams_dealloc(Grams *self)
{
    if (self->lock)
        PyThread_free_lock(self->lock);
    PyMem_Free(self->room);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef grams_methods[] = {
    {"echo", (PyCFunction)grams_echo, METH_VARARGS, "echo(words, code): see guard.provenance.grams_twin.Grams.echo"},
    {"take", (PyCFunction)grams_take, METH_VARARGS, "take(words, code, echo): see guard.provenance.grams_twin.Grams.take"},
    {"look", (PyCFunction)grams_look, METH_VARARGS, "look(pairs, month): see guard.provenance.grams_twin.Grams.look"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject grams_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "guard.provenance._grams.Grams",
    .tp_basicsize = sizeof(Grams),
    .tp_dealloc = (destructor)grams_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Cuts texts into grams; the compiled form of guard.provenance.grams_twin.Grams.",
    .tp_methods = grams_methods,
    .tp_new = grams_new,
};

static PyMethodDef functions[] = {
    {"read", (PyCFunction)(void (*)(void))grams_read, METH_FASTCALL,
     "read(text, page, normalized): what guard.provenance.grams_twin.read returns, or None if the text is not normalized "
     "and would have to be"},
    {"count", grams_count, METH_O, "count(words): see guard.provenance.grams_twin.count"},
    {"cut", grams_cut, METH_VARARGS, "cut(tokens, start, enough, most, code): see guard.provenance.grams_twin.cut"},
    {"seal", grams_seal, METH_VARARGS, "seal(key, grams): see guard.provenance.grams_twin.seal"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_grams",
                                    .m_doc = "Words, code and grams, compiled.", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit__grams(void)
{
    fill_ascii();
    fill_parts();
    choose();
    if ((!spaces && fill_spaces() < 0) || PyType_Ready(&grams_type) < 0)
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddObjectRef(made, "Grams", (PyObject *)&grams_type) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
