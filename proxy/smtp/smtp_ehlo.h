/* smtp_ehlo.h - what a server's EHLO reply offers (RFC 5321 section 4.1.1.1). */
#ifndef PROXY_SMTP_SMTP_EHLO_H
#define PROXY_SMTP_SMTP_EHLO_H

#include "proxy/backend/backend.h"
#include "proxy/smtp/smtp_reply.h"

/* Reads a backend's EHLO or LHLO reply. */
void smtp_ehlo_read(const struct smtp_reply *, struct backend_caps *);

#endif
