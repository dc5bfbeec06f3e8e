/* Whether there is nothing in a text to undo, said only where it is sure: signs.py looks closer, tests compare the two.
 *
 * The text is one of octets: what is no ASCII is none of the characters that a sign is made of. */
#ifndef GUARD_SIGNS_H
#define GUARD_SIGNS_H

#include "_lanes.h"

enum {
    LETTER = 1, DIGIT = 2, HEX = 4, BASE64 = 8, LEET = 16, JOINER = 32,
    ALONE = 4,     /* letters that stand alone, one after the other */
    APART = 8,     /* characters between them, at most */
    JOINED = 4,    /* signs that join words */
    LONG_WORD = 13, /* from one such sign to the next, at most */
    MOST_NAMED = 31 /* letters and digits of the name of an entity */
};

static uint8_t kind_of[256];
static int8_t base64_of[128];

static void fill_signs(void)
{
    for (int point = 'a'; point <= 'z'; point++)
        kind_of[point] = kind_of[point - 32] = LETTER | BASE64 | (point <= 'f' ? HEX : 0);
    for (int point = '0'; point <= '9'; point++)
        kind_of[point] = DIGIT | HEX | BASE64 | (point != '2' ? LEET : 0);
    for (const char *at = "@$!|+"; *at; at++)
        kind_of[(uint8_t)*at] |= LEET;
    for (const char *at = "+/_-"; *at; at++)
        kind_of[(uint8_t)*at] |= BASE64;
    for (const char *at = "_+.,/|~=:;"; *at; at++)
        kind_of[(uint8_t)*at] |= JOINER;
    const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int8_t place = 0; place < 64; place++)
        base64_of[(uint8_t)alphabet[place]] = place;
    base64_of['-'] = 62;
    base64_of['_'] = 63;
}

/* Each function returns whether there may be a sign: a false alarm costs a closer look and nothing else. */

typedef struct { const uint8_t *text; Py_ssize_t length; } Text; /* every look beyond the text finds a NUL */

static inline uint8_t kind(const Text *text, Py_ssize_t at)
{
    return at >= 0 && at < text->length ? kind_of[text->text[at]] : 0;
}

static inline int lower(const Text *text, Py_ssize_t at)
{
    return at >= 0 && at < text->length ? text->text[at] | 0x20 : 0;
}

static int says(const Text *text, Py_ssize_t at, const char *word)
{
    for (; *word; word++, at++)
        if (lower(text, at) != *word)
            return 0;
    return 1;
}

/* Twelve digits that are nine octets of UTF-8, or of UTF-16 in Latin. */
static int base64_begins(const Text *text, Py_ssize_t at)
{
    uint8_t octets[9];
    for (int place = 0; place < 12; place++)
        if (!(kind(text, at + place) & BASE64))
            return 0;
    for (int group = 0; group < 3; group++) {
        const uint8_t *digits = text->text + at + 4 * group;
        uint32_t bits = (uint32_t)base64_of[digits[0]] << 18 | (uint32_t)base64_of[digits[1]] << 12 |
                        (uint32_t)base64_of[digits[2]] << 6 | (uint32_t)base64_of[digits[3]];
        octets[3 * group] = (uint8_t)(bits >> 16);
        octets[3 * group + 1] = (uint8_t)(bits >> 8);
        octets[3 * group + 2] = (uint8_t)bits;
    }
    if (!octets[1])
        return 1;
    int lacking = 0;
    for (int place = 0; place < 9; place++) {
        uint8_t octet = octets[place];
        if (lacking) {
            if (octet < 0x80 || octet > 0xBF)
                return 0;
            lacking--;
        } else if (octet >= 0x80) {
            if (octet < 0xC2 || octet > 0xF4)
                return 0;
            lacking = octet < 0xE0 ? 1 : octet < 0xF0 ? 2 : 3;
        }
    }
    return 1;
}

static int hex_begins(const Text *text, Py_ssize_t at)
{
    if (text->text[at] == '0' && at + 1 < text->length && text->text[at + 1] == 'x')
        at += 2;
    for (int place = 0; place < 12; place++)
        if (!(kind(text, at + place) & HEX))
            return 0;
    return 1;
}

/* Two hexadecimal digits, as ASCII begins, and what may stand between pairs, twice: three times are a sign, and three a closer look. */
static int pairs_begin(const Text *text, Py_ssize_t at)
{
    for (int pair = 0; pair < 3; pair++) {
        if (!(at < text->length && text->text[at] >= '2' && text->text[at] <= '7' && kind(text, at + 1) & HEX))
            return 0; /* no printable ASCII begins with another digit */
        at += 2;
        Py_ssize_t from = at;
        while (at < text->length && at < from + 2 && memchr(" ,:;", text->text[at], 4))
            at++;
        if (at == from)
            return 0;
        if (at + 1 < text->length && text->text[at] == '0' && text->text[at + 1] == 'x')
            at += 2;
    }
    return 1;
}

/* A sign or a digit between letters, at the first of one or two. */
static int leet(const Text *text, Py_ssize_t at)
{
    if (!(kind(text, at - 1) & LETTER))
        return 0;
    return kind(text, at + 1) & LETTER || (kind(text, at + 1) & LEET && kind(text, at + 2) & LETTER);
}

/* A word that names a way of hiding, told by one or two of its letters that are rare. */
static int names_a_trick(const Text *text, Py_ssize_t at)
{
    switch (lower(text, at)) {
    case 'v': return says(text, at - 2, "revers");
    case 'k': return says(text, at - 3, "backward");
    case 'r': return says(text, at - 2, "mirror");
    case 'p': return says(text, at - 2, "cipher");
    default: return says(text, at - 1, "caesar");
    }
}

static int digit_tells(const Text *text, Py_ssize_t at)
{
    if ((kind(text, at) & LEET && leet(text, at)) || pairs_begin(text, at))
        return 1;
    return says(text, at, "13") && (says(text, at - 3, "rot") || says(text, at - 4, "rot"));
}

static int is_one_of(const Text *text, Py_ssize_t at, Py_ssize_t length, const char *words)
{
    for (; *words; words += length) /* all of that length */
        if (says(text, at, (char[5]){words[0], words[1], length > 2 ? words[2] : 0, length > 3 ? words[3] : 0, 0}))
            return 1;
    return 0;
}

static int english(const Text *text, Py_ssize_t at, Py_ssize_t length)
{
    static const char *const words[] = {"toofinismymeit", "theandforyouhowcanare", "withthatwhatmakethis"};
    return is_one_of(text, at, length, words[length - 2]);
}

static int turned(const Text *text, Py_ssize_t at, Py_ssize_t length)
{
    static const char *const words[] = {"otfogbbs", "ehtdnarofuoywohgurnaqsbelbhubj", "htiwtahttahwekamjvgugungjungznxr"};
    return is_one_of(text, at, length, words[length - 2]);
}

/* A number, or a name with a semicolon behind. */
static int entity_begins(const Text *text, Py_ssize_t at)
{
    if (at < text->length && text->text[at] == '#')
        return 1;
    Py_ssize_t end = at;
    while (end < at + MOST_NAMED && kind(text, end) & (LETTER | DIGIT))
        end++;
    return end > at && end < text->length && text->text[end] == ';';
}

/* Signs that join words, and characters that stand alone, as far as a text has been seen. */
typedef struct { Py_ssize_t joined, joiner, alone, alone_at; } Seen;

static int sign_tells(const Text *text, Py_ssize_t at, Seen *seen)
{
    uint8_t octet = text->text[at], its = kind_of[octet], next = at + 1 < text->length ? text->text[at + 1] : 0;
    if ((octet == '\\' && memchr("nrtbfv\"'/\\uUx01", next, 15)) ||
        (octet == '%' && (next == 'u' || (kind_of[next] & HEX && kind(text, at + 2) & HEX))) ||
        (octet == '&' && entity_begins(text, at + 1)))
        return 1;
    if (its & LEET && leet(text, at))
        return 1;
    if (its & JOINER && kind(text, at - 1) & LETTER && kind(text, at + 1) & LETTER) {
        seen->joined = seen->joined && at - seen->joiner <= LONG_WORD ? seen->joined + 1 : 1;
        seen->joiner = at;
        return seen->joined == JOINED;
    }
    return 0;
}

/* A letter or digit alone is one more if nothing but a few signs and blanks stands behind the one before. */
static int alone_tells(const Text *text, Py_ssize_t at, Seen *seen)
{
    int next = seen->alone && at - seen->alone_at - 1 <= APART;
    for (Py_ssize_t place = seen->alone_at + 1; next && place < at; place++)
        next = !(kind_of[text->text[place]] & (LETTER | DIGIT));
    seen->alone = next ? seen->alone + 1 : 1;
    seen->alone_at = at;
    return seen->alone == ALONE;
}

/* Whether a word is turned that is common, and none stands as it is. */
static int is_turned(const Text *text)
{
    int found = 0;
    for (Py_ssize_t at = 0; at < text->length; at++) {
        Py_ssize_t begin = at;
        while (kind(text, at) & (LETTER | DIGIT))
            at++;
        Py_ssize_t length = at - begin;
        if (length < 2 || length > 4 || (begin && text->text[begin - 1] == '_') || (at < text->length && text->text[at] == '_'))
            continue;
        if (english(text, begin, length))
            return 0;
        found |= turned(text, begin, length);
    }
    return found;
}

/* The places at which the twelfth bit in a row is set. `before` has the last bits of the span before, by step. */
static inline uint64_t twelve(uint64_t bits, uint64_t *before)
{
    uint64_t two = bits & (bits << 1 | before[0] >> 63);
    uint64_t four = two & (two << 2 | before[1] >> 62);
    uint64_t eight = four & (four << 4 | before[2] >> 60);
    uint64_t all = eight & (four << 8 | before[2] >> 56), first = all & ~(all << 1 | before[3] >> 63);
    before[0] = bits, before[1] = two, before[2] = four, before[3] = all;
    return first;
}

/* Whether a text surely has no sign. */
static int innocent(const uint8_t *octets, Py_ssize_t length)
{
    Text text = {octets, length};
    Seen seen = {0, 0, 0, 0};
    uint64_t word_before = 0, words_run[4] = {0}, digits_run[4] = {0};
    for (Py_ssize_t base = 0; base < length; base += SPAN) {
        uint8_t room[SPAN + 16];
        const uint8_t *from = span_at(octets, base, length, room);
        uint64_t words = 0, digits = 0, signs = 0, rare = 0, base64 = 0;
        for (int at = 0; at < SPAN; at += 16) {
            Lane raw = lane_at(from + at), after = lane_at(from + at + 1);
            Lane lane = small_letters(raw), next = small_letters(after);
            Lane digit = between(raw, '0', '9'), word = between(lane, 'a', 'z') | digit;
            Lane pair = ((lane == 'r') & (next == 'r')) | ((lane == 'p') & (next == 'h')) | ((lane == 'a') & (next == 'e'));
            words |= bits_of(word) << at;
            digits |= bits_of(digit) << at;
            base64 |= bits_of((raw == '-') | (raw == '_') | (raw == '+') | (raw == '/')) << at;
            signs |= bits_of(between(raw, '!', '~') & ~word & between(after, '!', '~')) << at;
            rare |= bits_of((lane == 'v') | (lane == 'k') | pair) << at;
        }
        uint64_t next_word = base + SPAN < length && kind_of[octets[base + SPAN]] & (LETTER | DIGIT);
        uint64_t alone = words & ~(words << 1 | word_before) & ~(words >> 1 | next_word << 63);
        word_before = words >> 63;
        for (; alone; alone &= alone - 1)
            if (alone_tells(&text, base + __builtin_ctzll(alone), &seen))
                return 0;
        for (; rare; rare &= rare - 1)
            if (names_a_trick(&text, base + __builtin_ctzll(rare)))
                return 0;
        for (; digits; digits &= digits - 1)
            if (digit_tells(&text, base + __builtin_ctzll(digits)))
                return 0;
        for (; signs; signs &= signs - 1)
            if (sign_tells(&text, base + __builtin_ctzll(signs), &seen))
                return 0;
        for (uint64_t run = twelve(words, words_run); run; run &= run - 1)
            if (hex_begins(&text, base + __builtin_ctzll(run) - 11))
                return 0;
        for (uint64_t run = twelve(words | base64, digits_run); run; run &= run - 1)
            if (base64_begins(&text, base + __builtin_ctzll(run) - 11))
                return 0;
    }
    return !is_turned(&text);
}

#endif
