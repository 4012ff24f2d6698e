#include "conf/conf_units.h"

#include <stdio.h>

#include "proxy/base/mem.h"

struct unit {
	const char *word;
	int64_t times;
};

static const struct unit sizes[] = {		/* the largest first, for writing */
	{ "G", 1 << 30 },
	{ "M", 1 << 20 },
	{ "K", 1 << 10 },
	{ "", 1 },
};

static const struct unit times[] = {
	{ "d", 24 * 60 * 60 * 1000 },
	{ "h", 60 * 60 * 1000 },
	{ "m", 60 * 1000 },
	{ "s", 1000 },
	{ "ms", 1 },
};

static size_t
count_digits(struct slice s)
{
	size_t n = 0;

	while (n < s.len && s.at[n] >= '0' && s.at[n] <= '9')
		n++;
	return n;
}

static bool
amount(struct slice text, const struct unit *units, size_t nunits, bool any_case, int64_t *out)
{
	size_t digits = count_digits(text);
	struct slice unit = slice_part(text, digits, text.len);
	uint64_t n;

	if (!slice_number(slice_part(text, 0, digits), &n))
		return false;
	for (size_t i = 0; i < nunits; i++) {
		if (!(any_case ? slice_iis(unit, units[i].word) : slice_is(unit, units[i].word)))
			continue;
		if (n > (uint64_t)(INT64_MAX / units[i].times))
			return false;
		*out = (int64_t)n * units[i].times;
		return true;
	}
	return false;
}

static void
amount_text(int64_t n, const struct unit *units, size_t nunits, char *out)
{
	size_t i = 0;

	while (i + 1 < nunits && (n == 0 || n % units[i].times != 0))
		i++;
	snprintf(out, CONF_UNITS_TEXT_MAX, "%lld%s", (long long)(n / units[i].times), units[i].word);
}

bool
conf_units_size(struct slice text, int64_t *octets)
{
	return amount(text, sizes, NITEMS(sizes), true, octets);
}

bool
conf_units_time(struct slice text, int64_t *milliseconds)
{
	return amount(text, times, NITEMS(times), false, milliseconds);
}

bool
conf_units_score(struct slice text, int64_t *thousandths)
{
	bool negative = slice_starts(text, "-");
	struct slice decimals = slice_part(text, negative ? 1 : 0, text.len), whole;
	bool pointed = slice_has(decimals, '.');
	uint64_t n, part = 0;

	whole = slice_cut(&decimals, '.');
	if (!slice_number(whole, &n) || n > INT32_MAX)
		return false;
	if (pointed && (decimals.len > 3 || !slice_number(decimals, &part)))
		return false;
	for (size_t i = decimals.len; i < 3; i++)
		part *= 10;
	*thousandths = (int64_t)(n * 1000 + part) * (negative ? -1 : 1);
	return true;
}

void
conf_units_size_text(int64_t octets, char out[CONF_UNITS_TEXT_MAX])
{
	amount_text(octets, sizes, NITEMS(sizes), out);
}

void
conf_units_time_text(int64_t milliseconds, char out[CONF_UNITS_TEXT_MAX])
{
	amount_text(milliseconds, times, NITEMS(times), out);
}

void
conf_units_score_text(int64_t thousandths, char out[CONF_UNITS_TEXT_MAX])
{
	uint64_t n = (uint64_t)(thousandths < 0 ? -thousandths : thousandths);
	int len = snprintf(out, CONF_UNITS_TEXT_MAX, "%s%llu.%03u", thousandths < 0 ? "-" : "",
	    (unsigned long long)(n / 1000), (unsigned)(n % 1000));

	while (out[len - 1] == '0')
		out[--len] = '\0';
	if (out[len - 1] == '.')
		out[--len] = '\0';
}
