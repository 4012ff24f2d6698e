/* smtp_auth.h - AUTH (RFC 4954): relayed to the backend, which knows the passwords; EXTERNAL ends here.
 *
 * Challenges and responses pass unchanged, but checked: base64 of a bounded length, in the order of
 * the mechanism. A backend session in which somebody authenticates belongs to that client and
 * ends with it; a client whose backend session was lost behind its back has to come again. Names are
 * read where the mechanism shows them (proxy/sasl/watch.h). Failures are throttled by address and by
 * name before the backend is asked (smtp_throttle.h), answered late, and logged, with the code of the
 * answer only: some servers repeat what was said to them. */
#ifndef PROXY_SMTP_SMTP_AUTH_H
#define PROXY_SMTP_SMTP_AUTH_H

#include "proxy/smtp/smtp_int.h"

#define SMTP_AUTH_LINE_MAX 12288	/* octets of a response or a challenge (RFC 4954 section 4) */

/* smtp_auth_offer.c: where a client can authenticate, and how */
bool smtp_auth_is_on(const struct conf_listener *);
unsigned smtp_auth_offers(const struct smtp_session *);	/* the mechanisms that it is offered now: bits of enum conf_mechanism */
#define SMTP_AUTH_OFFER_MAX 256
void smtp_auth_offer_text(const struct smtp_session *, char *out, size_t size);	/* "PLAIN LOGIN", for EHLO */

/* The backend that knows this user's password; user empty: the name is not known yet. NULL: there is none. */
const struct conf_backend *smtp_auth_backend(const struct smtp_session *, struct slice user);

/* Whether the client has authenticated; s->user is NULL all the same where the mechanism hides the name. */
bool smtp_auth_done(const struct smtp_session *);

/* The session in which it authenticated is gone, however that came: in another one the client would be nobody, so it
 * has to come again. */
bool smtp_auth_stranded(const struct smtp_session *);

/* How long the client's next line may be: AUTH and what follows it are longer than commands are. */
size_t smtp_auth_line_max(struct smtp_session *);

enum smtp_step smtp_auth(struct smtp_session *, struct slice args);		/* the command */

/* While s->auth is set, lines are no commands but responses. */
enum smtp_step smtp_auth_line(struct smtp_session *, struct slice line);
enum smtp_step smtp_auth_too_long(struct smtp_session *);

/* The session to the backend: it is greeted; it answers ORDER_AUTH; it was lost (while s->auth is set). */
void smtp_auth_ready(struct smtp_session *);
void smtp_auth_reply(struct smtp_session *, const struct smtp_reply *);
void smtp_auth_lost(struct smtp_session *, const char *why);

/* Mail begins: a session in which nobody has authenticated after all is no place for it. */
void smtp_auth_leave(struct smtp_session *);

void smtp_auth_free(struct smtp_session *);		/* with the session, whatever it waits for */

#endif
