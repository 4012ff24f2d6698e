#include "proxy/smtp/smtp_ehlo.h"

#include <string.h>

#include "proxy/sasl/sasl.h"
#include "proxy/smtp/smtp_envelope.h"
#include "proxy/smtp/smtp_identity.h"

/* "AUTH PLAIN LOGIN" (RFC 4954 section 3); some servers still say "AUTH=PLAIN LOGIN" beside it, for clients of the
 * last century, and a few say that alone. */
static void
read_mechanisms(struct backend_caps *caps, struct slice rest)
{
	struct slice word;

	caps->extensions |= CONF_EXT_AUTH;
	while ((word = slice_word(&rest)).len > 0)
		caps->mechanisms |= sasl_mechanism_bit(word);
}

static unsigned
read_attributes(struct slice rest)
{
	unsigned bits = 0;
	struct slice word;

	while ((word = slice_word(&rest)).len > 0)
		bits |= identity_attribute(word);
	return bits;
}

/* RFC 9422 section 4: "RCPTMAX=100 MAILMAX=20"; a limit that we do not know is left alone. */
static void
read_limits(struct backend_caps *caps, struct slice rest)
{
	struct slice value;

	while ((value = slice_word(&rest)).len > 0) {
		struct slice name = slice_cut(&value, '=');
		uint64_t n;

		if (!slice_number(value, &n) || n == 0)
			continue;
		if (slice_iis(name, "RCPTMAX"))
			caps->rcptmax = n;
		else if (slice_iis(name, "MAILMAX"))
			caps->mailmax = n;
	}
}

static void
read_line(struct backend_caps *caps, struct slice line)
{
	struct slice word = slice_word(&line);
	unsigned bit = smtp_extension_bit(word);

	if (slice_istarts(word, "AUTH=")) {
		caps->mechanisms |= sasl_mechanism_bit(slice_part(word, 5, word.len));
		read_mechanisms(caps, line);
		return;
	}
	caps->extensions |= bit;
	switch (bit) {
	case CONF_EXT_SIZE:
		if (!slice_number(slice_trim(line), &caps->size))
			caps->size = 0;		/* no limit told (RFC 1870 section 4) */
		break;
	case CONF_EXT_AUTH:
		read_mechanisms(caps, line);
		break;
	case CONF_EXT_DELIVERBY:
		if (!slice_number(slice_trim(line), &caps->by_min))
			caps->by_min = 0;	/* RFC 2852 section 3: none told */
		break;
	case CONF_EXT_LIMITS:
		read_limits(caps, line);
		break;
	case CONF_EXT_XCLIENT:
		caps->xclient = read_attributes(line);
		break;
	case CONF_EXT_XFORWARD:
		caps->xforward = read_attributes(line);
		break;
	default:
		break;
	}
}

void
smtp_ehlo_read(const struct smtp_reply *r, struct backend_caps *caps)
{
	struct slice rest = buf_slice(&r->text);

	memset(caps, 0, sizeof(*caps));
	slice_cut(&rest, '\n');			/* the first line is a greeting */
	while (rest.len > 0)
		read_line(caps, slice_cut(&rest, '\n'));
}
