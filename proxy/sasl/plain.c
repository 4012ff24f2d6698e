#include "proxy/sasl/plain.h"

bool
sasl_plain_read(struct slice message, struct sasl_plain *p)
{
	struct slice rest = message;
	size_t nuls = 0;

	for (size_t i = 0; i < message.len; i++)
		nuls += message.at[i] == '\0';
	if (nuls != 2)
		return false;
	p->authzid = slice_cut(&rest, '\0');
	p->user = slice_cut(&rest, '\0');
	p->password = rest;
	return p->user.len > 0 && p->password.len > 0;
}

bool
sasl_plain_write(struct buf *out, const struct sasl_plain *p)
{
	if (slice_has(p->authzid, '\0') || slice_has(p->user, '\0') || slice_has(p->password, '\0') ||
	    buf_room(out) < p->authzid.len + p->user.len + p->password.len + 2)
		return false;
	return buf_put(out, p->authzid) && buf_putc(out, '\0') && buf_put(out, p->user) && buf_putc(out, '\0') &&
	       buf_put(out, p->password);
}
