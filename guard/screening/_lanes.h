/* Texts of octets by sixteen at a time: which of them are letters, words ... as bits. */
#ifndef GUARD_LANES_H
#define GUARD_LANES_H

#include <Python.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { SPAN = 64, SHORT = 4096 };
/* A character that is no ASCII stands as one octet: part of a word, or not. */
enum { WIDE_WORD = 0x80, WIDE_SIGN = 0x81 };

typedef int8_t Lane __attribute__((vector_size(16))); /* signed: what is no ASCII is below everything */

static inline Lane lane_at(const uint8_t *from)
{
    Lane lane;
    memcpy(&lane, from, sizeof lane);
    return lane;
}

/* The 16 answers of a comparison as bits, the first the lowest. */
static inline uint64_t bits_of(Lane answers)
{
#ifdef __SSE2__
    return (uint64_t)(uint32_t)_mm_movemask_epi8((__m128i)answers);
#else
    uint64_t bits = 0;
    for (int at = 0; at < 16; at++)
        bits |= (uint64_t)(answers[at] & 1) << at;
    return bits;
#endif
}

static inline Lane between(Lane lane, int8_t low, int8_t high) { return (Lane)((lane >= low) & (lane <= high)); }

static inline Lane small_letters(Lane lane) { return lane | ((Lane)(lane > 0) & 0x20); }

/* The octets from `at` on: in place, or, at the end of the text, a copy with NULs behind. Up to one more may be read. */
static inline const uint8_t *span_at(const uint8_t *text, Py_ssize_t at, Py_ssize_t length, uint8_t *room)
{
    if (at + SPAN < length)
        return text + at;
    memset(room, 0, SPAN + 16);
    memcpy(room, text + at, (size_t)(length - at));
    return room;
}

/* A text as octets, WIDE_WORD for all that is no ASCII. */
static void narrow(PyObject *text, uint8_t *restrict put)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    if (PyUnicode_KIND(text) == PyUnicode_1BYTE_KIND) {
        const Py_UCS1 *from = PyUnicode_1BYTE_DATA(text);
        for (Py_ssize_t at = 0; at < length; at++)
            put[at] = from[at] < 128 ? from[at] : WIDE_WORD;
    } else if (PyUnicode_KIND(text) == PyUnicode_2BYTE_KIND) {
        const Py_UCS2 *from = PyUnicode_2BYTE_DATA(text);
        for (Py_ssize_t at = 0; at < length; at++)
            put[at] = (uint8_t)(from[at] < 128 ? from[at] : WIDE_WORD);
    } else {
        const Py_UCS4 *from = PyUnicode_4BYTE_DATA(text);
        for (Py_ssize_t at = 0; at < length; at++)
            put[at] = (uint8_t)(from[at] < 128 ? from[at] : WIDE_WORD);
    }
}

/* Which of the octets from `at` on are no ASCII. */
static inline uint64_t wide_at(const uint8_t *octets, Py_ssize_t at, Py_ssize_t length, uint8_t *room)
{
    const uint8_t *from = span_at(octets, at, length, room);
    uint64_t wide = 0;
    for (int place = 0; place < SPAN; place += 16)
        wide |= bits_of((Lane)(lane_at(from + place) < 0)) << place;
    return wide;
}

/* Say of octets that `narrow` put which of them are no part of a word. */
static void tell_signs(PyObject *text, uint8_t *octets)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    for (Py_ssize_t base = 0; base < length; base += SPAN) {
        uint8_t room[SPAN + 16];
        for (uint64_t wide = wide_at(octets, base, length, room); wide; wide &= wide - 1) {
            Py_ssize_t at = base + __builtin_ctzll(wide);
            Py_UCS4 point = PyUnicode_READ(kind, data, at);
            if (point - 0x4E00 >= 0x5200 && !Py_UNICODE_ISALNUM(point))
                octets[at] = WIDE_SIGN;
        }
    }
}

#endif
