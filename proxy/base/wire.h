/* wire.h - explicit bytes between our processes; never a struct.
 *
 * Numbers are big-endian, strings carry a 32-bit length. The writer appends to a buf (its cap is
 * the message's cap). The reader never trusts: the first thing that does not fit marks the whole
 * input bad and everything after it reads as 0 or empty, so a caller checks once, at the end. */
#ifndef PROXY_BASE_WIRE_H
#define PROXY_BASE_WIRE_H

#include "proxy/base/buf.h"

bool wire_put_u8(struct buf *, uint8_t);
bool wire_put_u16(struct buf *, uint16_t);
bool wire_put_u32(struct buf *, uint32_t);
bool wire_put_u64(struct buf *, uint64_t);
bool wire_put_i32(struct buf *, int32_t);
bool wire_put_bytes(struct buf *, struct slice);

struct wire_in {
	struct slice left;
	bool bad;
};

struct wire_in wire_open(struct slice);
uint8_t wire_u8(struct wire_in *);
uint16_t wire_u16(struct wire_in *);
uint32_t wire_u32(struct wire_in *);
uint64_t wire_u64(struct wire_in *);
int32_t wire_i32(struct wire_in *);
struct slice wire_bytes(struct wire_in *);		/* points into the input */
bool wire_done(const struct wire_in *);			/* all well, and nothing left over */

#endif
