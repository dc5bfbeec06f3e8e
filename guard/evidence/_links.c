/* Runs of entries linked, and trees of hashes: what links.py says, in C, for processors that compute SHA-256 themselves
 * (x86 with SHA extensions). On any other the module cannot be imported, and what hashlib does is faster. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>

enum { BLOCK = 64, HASH = 32, HEX = 64 };

static const uint32_t K[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
static const uint32_t INITIAL[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* Take whole blocks into `state` (FIPS 180-4); the instructions want it as two vectors, words in the order below. */
__attribute__((target("sha,sse4.1"))) static void take(uint32_t *state, const uint8_t *data, size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i front = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xB1);
    __m128i back = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(front, back, 8), cdgh = _mm_blend_epi16(back, front, 0xF0);
    for (; blocks; blocks--, data += BLOCK) {
        __m128i words[4], abef_before = abef, cdgh_before = cdgh;
#pragma GCC unroll 16
        for (int group = 0; group < 16; group++) { /* four rounds each */
            __m128i *now = &words[group & 3], *last = &words[(group + 3) & 3];
            if (group < 4)
                *now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(data + 16 * group)), swap);
            else
                *now = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(*now, words[(group + 1) & 3]),
                                                          _mm_alignr_epi8(*last, words[(group + 2) & 3], 4)),
                                            *last);
            __m128i sum = _mm_add_epi32(*now, _mm_load_si128((const __m128i *)(const void *)(K + 4 * group)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    front = _mm_shuffle_epi32(abef, 0x1B);
    back = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(front, back, 0xF0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(back, front, 8));
}

/* Put the hash of a message of which whole blocks, `before` bytes, are in `state` already. */
static void finish(uint32_t *state, const uint8_t *rest, size_t length, size_t before, uint8_t *hash)
{
    uint8_t last[2 * BLOCK] = {0};
    size_t whole = length / BLOCK, left = length % BLOCK, blocks = left < BLOCK - 8 ? 1 : 2;
    uint64_t bits = 8 * (uint64_t)(before + length);
    take(state, rest, whole);
    memcpy(last, rest + whole * BLOCK, left);
    last[left] = 0x80;
    for (int octet = 0; octet < 8; octet++)
        last[blocks * BLOCK - 1 - (size_t)octet] = (uint8_t)(bits >> 8 * octet);
    take(state, last, blocks);
    for (int word = 0; word < 8; word++)
        for (int octet = 0; octet < 4; octet++)
            hash[4 * word + octet] = (uint8_t)(state[word] >> (24 - 8 * octet));
}

static void sha256(const uint8_t *message, size_t length, uint8_t *hash)
{
    uint32_t state[8];
    memcpy(state, INITIAL, sizeof state);
    finish(state, message, length, 0, hash);
}

static void put_hex(uint8_t *at, const uint8_t *hash)
{
    static const char digits[] = "0123456789abcdef";
    for (int octet = 0; octet < HASH; octet++) {
        at[2 * octet] = (uint8_t)digits[hash[octet] >> 4];
        at[2 * octet + 1] = (uint8_t)digits[hash[octet] & 15];
    }
}

static inline uint8_t *put(uint8_t *at, const void *octets, size_t length)
{
    memcpy(at, octets, length);
    return at + length;
}
#define PUT(at, text) put(at, text, sizeof(text) - 1)

/* Numbers, names and quotes of a line, and of a leaf, take no more than this besides time, kind and facts. */
enum { AROUND = 256 };

static PyObject *links_run(PyObject *module, PyObject *args)
{
    (void)module;
    const char *prev, *time, *kind;
    Py_ssize_t prev_length, time_length, kind_length;
    unsigned long long seq;
    PyObject *run;
    if (!PyArg_ParseTuple(args, "y#Ky#y#O!", &prev, &prev_length, &seq, &time, &time_length, &kind, &kind_length,
                          &PyList_Type, &run))
        return NULL;
    if (prev_length != HEX) {
        PyErr_SetString(PyExc_ValueError, "a hash has 64 digits");
        return NULL;
    }
    Py_ssize_t count = PyList_GET_SIZE(run), size = 0, longest = 0, around = time_length + kind_length + AROUND;
    for (Py_ssize_t at = 0; at < count; at++) {
        PyObject *facts = PyList_GET_ITEM(run, at);
        if (!PyBytes_Check(facts)) {
            PyErr_SetString(PyExc_TypeError, "facts are bytes here");
            return NULL;
        }
        Py_ssize_t length = PyBytes_GET_SIZE(facts);
        size += length + around;
        longest = length > longest ? length : longest;
    }
    PyObject *lines = PyBytes_FromStringAndSize(NULL, size), *leaves = PyList_New(count), *found = NULL;
    uint8_t *leaf = PyMem_Malloc((size_t)(longest + around)), before[HEX];
    if (!lines || !leaves || !leaf) {
        PyErr_NoMemory();
        goto release;
    }
    memcpy(before, prev, HEX);
    uint8_t *begin = (uint8_t *)PyBytes_AS_STRING(lines), *at = begin;
    for (Py_ssize_t each = 0; each < count; each++) {
        const char *facts = PyBytes_AS_STRING(PyList_GET_ITEM(run, each));
        size_t length = (size_t)PyBytes_GET_SIZE(PyList_GET_ITEM(run, each));
        uint8_t hash[HASH], *content = at;
        uint32_t state[8];
        at += sprintf((char *)at, "{\"seq\":%llu,\"time\":", seq + (unsigned long long)each);
        at = put(at, time, (size_t)time_length);
        at = PUT(at, ",\"kind\":\"");
        at = put(at, kind, (size_t)kind_length);
        at = PUT(at, "\",\"facts\":");
        at = put(at, facts, length);
        *at = '}'; /* of what is hashed; in the line more stands before it */
        memcpy(state, INITIAL, sizeof state);
        take(state, before, HEX / BLOCK);
        finish(state, content, (size_t)(at + 1 - content), HEX, hash);
        at = PUT(at, ",\"prev\":\"");
        at = put(at, before, HEX);
        at = PUT(at, "\",\"hash\":\"");
        put_hex(before, hash);
        at = put(at, before, HEX);
        at = PUT(at, "\"}\n");
        uint8_t *end = leaf;
        *end++ = 0;
        end = PUT(end, "{\"facts\":");
        end = put(end, facts, length);
        end = PUT(end, ",\"kind\":\"");
        end = put(end, kind, (size_t)kind_length);
        end = PUT(end, "\"}");
        sha256(leaf, (size_t)(end - leaf), hash);
        PyObject *made = PyBytes_FromStringAndSize((char *)hash, HASH);
        if (!made)
            goto release;
        PyList_SET_ITEM(leaves, each, made);
    }
    if (_PyBytes_Resize(&lines, at - begin) == 0)
        found = Py_BuildValue("Oy#O", lines, before, (Py_ssize_t)HEX, leaves);
release:
    PyMem_Free(leaf);
    Py_XDECREF(lines);
    Py_XDECREF(leaves);
    return found;
}

static PyObject *links_root(PyObject *module, PyObject *hashes)
{
    (void)module;
    if (!PyList_Check(hashes)) {
        PyErr_SetString(PyExc_TypeError, "root(hashes): a list");
        return NULL;
    }
    Py_ssize_t count = PyList_GET_SIZE(hashes);
    uint8_t *level = PyMem_Malloc((size_t)(count + 1) * HASH), node[1 + 2 * HASH] = {1};
    if (!level)
        return PyErr_NoMemory();
    for (Py_ssize_t at = 0; at < count; at++) {
        PyObject *hash = PyList_GET_ITEM(hashes, at);
        if (!PyBytes_Check(hash) || PyBytes_GET_SIZE(hash) != HASH) {
            PyErr_SetString(PyExc_ValueError, "a hash has 32 bytes");
            PyMem_Free(level);
            return NULL;
        }
        memcpy(level + at * HASH, PyBytes_AS_STRING(hash), HASH);
    }
    if (!count)
        sha256(level, 0, level);
    for (; count > 1; count = (count + 1) / 2) {
        for (Py_ssize_t pair = 0; pair < count / 2; pair++) {
            memcpy(node + 1, level + 2 * pair * HASH, 2 * HASH);
            sha256(node, sizeof node, level + pair * HASH);
        }
        if (count & 1)
            memmove(level + count / 2 * HASH, level + (count - 1) * HASH, HASH);
    }
    PyObject *made = PyBytes_FromStringAndSize((char *)level, HASH);
    PyMem_Free(level);
    return made;
}

static int able(void)
{
    unsigned a, b = 0, c = 0, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1 && __get_cpuid(1, &a, &b, &c, &d) && c >> 19 & 1;
}

static PyMethodDef functions[] = {
    {"run", links_run, METH_VARARGS, "run(prev, seq, time, kind, facts): see guard.evidence.links.run"},
    {"root", links_root, METH_O, "root(hashes): see guard.evidence.merkle.root"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_links", .m_doc = "Links and trees, compiled.",
                                    .m_size = -1, .m_methods = functions};
#endif

PyMODINIT_FUNC PyInit__links(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (able())
        return PyModule_Create(&module);
#endif
    PyErr_SetString(PyExc_ImportError, "this processor has no instructions for SHA-256");
    return NULL;
}
