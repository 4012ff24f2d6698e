/* smtp_verify.h - does a recipient exist? The server that knows them is asked beforehand, for backends that
 * accept everything (verify-recipients).
 *
 * It is asked in a transaction that ends with RSET: MAIL FROM:<>, RCPT TO. What it says is remembered for
 * verify-good and verify-bad; what it does not know now (4xx, no answer) is not, and the client hears 450. All who
 * ask for one recipient share one question; a server is asked few at a time, the others wait. */
#ifndef PROXY_SMTP_SMTP_VERIFY_H
#define PROXY_SMTP_SMTP_VERIFY_H

#include "proxy/smtp/smtp_pool.h"

struct smtp_verify;
struct smtp_check;

struct smtp_verify *smtp_verify_new(struct loop *, struct smtp_pool *);
void smtp_verify_free(struct smtp_verify **);		/* when nobody asks any more; before the pool */

/* Asks the server `at` about a recipient, on behalf of the backend with these rules (verify-good, verify-bad). The
 * answer comes once, never inside this call: NULL, it is good; else what the client is to hear, the server's 5xx or
 * our own 450, valid during the call back. Whoever asks keeps `at` alive until then. */
struct smtp_check *smtp_verify_ask(struct smtp_verify *, struct backend *at, const struct conf_backend *rules,
    const struct smtp_to *, void (*answer)(void *owner, const struct smtp_reply *refusal), void *owner);
void smtp_verify_cancel(struct smtp_check **);		/* sets NULL; NULL is none */

#endif
