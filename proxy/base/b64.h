/* b64.h - base64 as SASL speaks it (RFC 4648 section 4): padded, no line ends, nothing else allowed.
 *
 * What mail bodies hold is read by filters/decode.c, which forgives; this does not. */
#ifndef PROXY_BASE_B64_H
#define PROXY_BASE_B64_H

#include "proxy/base/buf.h"

bool b64_encode(struct buf *out, struct slice);	/* false, and nothing put: out has no room */
bool b64_decode(struct buf *out, struct slice);	/* false: not base64, or no room; out may hold a part then */

#endif
