#include "conf/conf_place.h"

#include <netinet/in.h>
#include <string.h>

#include "conf/conf_names.h"
#include "proxy/base/mem.h"

#define MX "mx:"
#define MX_PORT 25

/* Digits and dots alone are an address, right or wrong: no domain ends in a number (RFC 3696 section 2). */
static bool
is_number(struct slice host)
{
	for (size_t i = 0; i < host.len; i++)
		if (host.at[i] != '.' && (host.at[i] < '0' || host.at[i] > '9'))
			return false;
	return true;
}

static int
parse_addr(struct conf_place *place, const char *text, struct err *err)
{
	if (addr_parse(&place->addr, text, 0, err) == -1)
		return -1;
	place->port = addr_port(&place->addr);
	return 0;
}

/* NAME:PORT; `port` is the one where none is written, 0: it is compulsory. */
static int
parse_name(struct conf_place *place, const char *text, struct slice name, unsigned port, struct err *err)
{
	struct slice digits = name, host = slice_cut(&digits, ':');
	char *lower = mem_slice(host);
	const char *fault = conf_domain_fault(lower);
	uint64_t n = port;

	for (char *c = lower; *c != '\0'; c++)
		*c = (char)ascii_lower((unsigned char)*c);
	place->host = lower;
	if (fault != NULL)
		return err_set(err, "\"%s\" is neither an address nor a name: %s", text, fault);
	if ((slice_has(name, ':') && !slice_number(digits, &n)) || n == 0 || n > 65535)
		return err_set(err, "\"%s\" needs a port from 1 to 65535, as in mail.example.org:25", text);
	place->port = (unsigned)n;
	return 0;
}

int
conf_place_parse(struct conf_place *place, const char *text, struct err *err)
{
	struct slice whole = slice_of(text), rest = whole;

	if (slice_starts(whole, MX)) {
		place->mx = true;
		return parse_name(place, text, slice_part(whole, strlen(MX), whole.len), MX_PORT, err);
	}
	if (slice_starts(whole, "unix:") || slice_starts(whole, "[") || is_number(slice_cut(&rest, ':')))
		return parse_addr(place, text, err);
	return parse_name(place, text, whole, 0, err);
}

int
conf_place_weigh(struct conf_place *place, const char *text, struct err *err)
{
	uint64_t n;

	if (!slice_number(slice_part(slice_of(text), strlen(CONF_PLACE_WEIGHT), SIZE_MAX), &n) || n == 0 || n > CONF_PLACE_WEIGHT_MAX)
		return err_set(err, "expected weight=1 to weight=%d behind an address, not \"%.80s\"", CONF_PLACE_WEIGHT_MAX, text);
	place->weight = (unsigned)n;
	return 0;
}

bool
conf_place_is_local(const struct conf_place *place)
{
	const struct sockaddr_in *in4 = (const void *)&place->addr.ss;
	const struct sockaddr_in6 *in6 = (const void *)&place->addr.ss;

	switch (place->host == NULL ? place->addr.ss.ss_family : AF_UNSPEC) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(in4->sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	default:
		return false;
	}
}
