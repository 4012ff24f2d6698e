#include "proxy/smtp/smtp_auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/base/b64.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/sasl/watch.h"
#include "proxy/smtp/smtp_throttle.h"

#define COMMAND_MAX 510		/* octets of "AUTH MECHANISM RESPONSE"; a longer response waits for its 334 (RFC 4954 section 4) */
#define REPLY_MAX   8192

#define PUT_OFF     "454 4.7.0 Too many failures, please try again later"
#define NOT_NOW     "454 4.7.0 Temporary authentication failure"
#define NO_SENSE    "454 4.7.0 The mail server's answer makes no sense, please try again later"

_Static_assert((int)SASL_PLAIN == CONF_MECH_PLAIN && (int)SASL_LOGIN == CONF_MECH_LOGIN &&
    (int)SASL_CRAM_MD5 == CONF_MECH_CRAM_MD5 && (int)SASL_DIGEST_MD5 == CONF_MECH_DIGEST_MD5 &&
    (int)SASL_SCRAM_SHA_1 == CONF_MECH_SCRAM_SHA_1 && (int)SASL_SCRAM_SHA_256 == CONF_MECH_SCRAM_SHA_256 &&
    (int)SASL_SCRAM_SHA_512 == CONF_MECH_SCRAM_SHA_512 && (int)SASL_XOAUTH2 == CONF_MECH_XOAUTH2 &&
    (int)SASL_OAUTHBEARER == CONF_MECH_OAUTHBEARER && (int)SASL_EXTERNAL == CONF_MECH_EXTERNAL &&
    (int)SASL_SCRAM_SHA_1_PLUS == CONF_MECH_SCRAM_SHA_1_PLUS && (int)SASL_SCRAM_SHA_256_PLUS == CONF_MECH_SCRAM_SHA_256_PLUS &&
    (int)SASL_GSSAPI == CONF_MECH_GSSAPI && (int)SASL_NTLM == CONF_MECH_NTLM, "proxy/sasl and conf mean the same bits");

enum auth_wait {		/* what the exchange waits for */
	AUTH_SESSION,		/* an own session to the backend */
	AUTH_ANSWER,		/* the backend's */
	AUTH_RESPONSE,		/* the client's */
	AUTH_CANCELLED,		/* the backend's answer to "*" */
	AUTH_DELAY,		/* the time to say that it failed */
};

struct smtp_auth {		/* from AUTH to its last reply */
	enum auth_wait wait;
	struct sasl_watch watch;
	struct backend *backend;	/* NULL: it ends here */
	struct buf initial;		/* the initial response as it came, until the backend has it */
	bool has_initial;
	struct buf reply;		/* the last one */
	struct timer delay;
	uint64_t booked[2];		/* at the throttle: the address, the name */
	unsigned nbooked, failures;
};

bool
smtp_auth_done(const struct smtp_session *s)
{
	return s->user_mech != 0;
}

bool
smtp_auth_stranded(const struct smtp_session *s)
{
	return s->user_mech != 0 && s->user_mech != SASL_EXTERNAL && s->link == NULL;
}

size_t
smtp_auth_line_max(struct smtp_session *s)
{
	return s->auth != NULL || slice_istarts(buf_slice(conn_in(s->client)), "AUTH ") ? SMTP_AUTH_LINE_MAX : SMTP_LINE_MAX;
}

/* The end of an exchange. */

void
smtp_auth_free(struct smtp_session *s)
{
	struct smtp_auth *a = s->auth;

	if (a == NULL)
		return;
	s->auth = NULL;
	timer_stop(&a->delay);
	buf_free(&a->initial);
	buf_free(&a->reply);
	loop_free_later(s->server->loop, a);
}

static uint64_t
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);	/* the same for all workers */
	return (uint64_t)t.tv_sec;
}

/* False: this one has failed too often. */
static bool
book(struct smtp_session *s, uint64_t who)
{
	struct smtp_auth *a = s->auth;
	unsigned booked, max = s->listener->auth_failures;
	bool may;

	if (max == 0)			/* no throttle: no limit, no delay */
		return true;
	may = smtp_throttle_take(s->server->throttle, who, max, seconds(), &booked);
	if (may)
		a->booked[a->nbooked++] = who;
	if (booked > a->failures)
		a->failures = booked;
	return may;
}

/* The name came up. False: there were too many failures in it, none of them from where it has succeeded. */
static bool
book_user(struct smtp_session *s)
{
	struct smtp_throttle *t = s->server->throttle;
	struct slice name = slice_of(s->auth->watch.user);

	return smtp_throttle_trusts(t, smtp_throttle_both(t, &s->peer, name), seconds()) || book(s, smtp_throttle_user(t, name));
}

/* It was no wrong password. */
static void
give_back(struct smtp_session *s)
{
	struct smtp_auth *a = s->auth;

	while (a->nbooked > 0)
		smtp_throttle_give(s->server->throttle, a->booked[--a->nbooked], seconds());
}

/* "535 5.7.8": what is known to be no secret of an answer. */
static struct slice
code_of(const struct smtp_auth *a)
{
	struct slice reply = buf_slice(&a->reply), rest = slice_part(reply, 4, reply.len);

	return slice_part(reply, 0, 4 + slice_word(&rest).len);
}

static void
log_failure(const struct smtp_session *s)
{
	const struct smtp_auth *a = s->auth;
	char peer[ADDR_TEXT_MAX];
	struct buf line;

	addr_text(&s->peer, peer);
	buf_init(&line, LOG_LINE_MAX);
	log_word(&line, "connection", slice_of(s->id));
	log_word(&line, "client", slice_of(peer));
	log_word(&line, "listener", slice_of(s->listener->name));
	log_word(&line, "auth", SLICE("failed"));
	log_word(&line, "user", slice_of(a->watch.user));
	if (a->watch.authzid[0] != '\0')
		log_word(&line, "acts-for", slice_of(a->watch.authzid));
	log_word(&line, "mechanism", slice_of(sasl_mechanism_name(a->watch.mechanism)));
	if (a->backend != NULL)
		log_word(&line, "backend", slice_of(a->backend->conf->name));
	log_word(&line, "answer", code_of(a));
	log_wordf(&line, "failures", "%u", a->failures);
	log_line(LOG_LEVEL_INFO, buf_slice(&line));
	buf_free(&line);
}

/* The answer was said, the exchange is over. */
static enum smtp_step
go_on(struct smtp_session *s)
{
	smtp_auth_free(s);
	if (!s->waiting)
		return STEP_NEXT;
	smtp_resume(s);
	return STEP_WAIT;
}

static void
on_delay(void *owner)
{
	struct smtp_session *s = owner;
	bool goodbye = slice_starts(buf_slice(&s->auth->reply), "421");

	if (s->client != NULL)
		buf_put(conn_out(s->client), buf_slice(&s->auth->reply));
	if (goodbye)
		smtp_end(s, NULL, "the mail server said 421");
	else if (++s->errors > s->listener->max_errors)
		smtp_end(s, "421 4.7.0 Too many errors", "too many errors");
	else
		go_on(s);
}

/* The last reply is there. It is said late, and the later the more often this client failed: guessing takes time, which
 * costs us a timer and nobody else anything. */
static enum smtp_step
fail(struct smtp_session *s)
{
	struct smtp_auth *a = s->auth;

	log_failure(s);
	a->wait = AUTH_DELAY;
	s->waiting = true;
	timer_set(&a->delay, a->failures > 0 ? smtp_throttle_delay(a->failures) : 0);
	return STEP_WAIT;
}

static enum smtp_step
fail_with(struct smtp_session *s, const char *reply)
{
	buf_clear(&s->auth->reply);
	buf_printf(&s->auth->reply, "%s\r\n", reply);
	return fail(s);
}

/* Gives the exchange up; the backend hears so first, for it waits for a response. */
static enum smtp_step
cancel(struct smtp_session *s, const char *reply)
{
	struct smtp_auth *a = s->auth;

	if (a->backend == NULL || s->link == NULL)
		return fail_with(s, reply);
	buf_clear(&a->reply);
	buf_printf(&a->reply, "%s\r\n", reply);
	a->wait = AUTH_CANCELLED;
	s->waiting = true;
	smtp_backend_auth_more(s->link, SLICE("*"));
	return STEP_WAIT;
}

/* No secret comes any more. */
static void
let_in(struct smtp_session *s, const char *user)
{
	give_back(s);
	if (user[0] != '\0' && s->listener->auth_failures > 0)
		smtp_throttle_trust(s->server->throttle, smtp_throttle_both(s->server->throttle, &s->peer, slice_of(user)), seconds());
	free(s->user);
	s->user = user[0] != '\0' ? mem_str(user) : NULL;
	s->user_mech = s->auth->watch.mechanism;
	if (s->client != NULL)
		buf_secret(conn_in(s->client), false);
}

/* The exchange. */

/* The client's next message. NULL: it may go on; else the reply that ends it. */
static const char *
hear(struct smtp_session *s, struct slice line)
{
	struct sasl_watch *w = &s->auth->watch;
	bool known = w->user[0] != '\0', is_base64, good;
	struct buf message;

	buf_init(&message, SMTP_AUTH_LINE_MAX);
	buf_secret(&message, true);
	is_base64 = b64_decode(&message, line);
	good = is_base64 && sasl_watch_client(w, buf_slice(&message));
	buf_free(&message);
	if (!good)
		return is_base64 ? "501 5.5.2 This is no response of the mechanism" : "501 5.5.2 This is no base64";
	if (!known && w->user[0] != '\0' && !book_user(s))
		return PUT_OFF;
	return NULL;
}

/* The certificate's name is who it is; he may not become somebody else (RFC 4422 appendix A.2). */
static enum smtp_step
end_external(struct smtp_session *s)
{
	struct smtp_auth *a = s->auth;
	char name[TLS_NAME_MAX];

	if (!conn_tls_peer_name(s->client, name))
		return fail_with(s, NOT_NOW);
	slice_copy(slice_of(name), a->watch.user, sizeof(a->watch.user));
	if (a->watch.authzid[0] != '\0' && strcmp(a->watch.authzid, name) != 0)
		return fail_with(s, "535 5.7.8 The certificate is somebody else's");
	let_in(s, name);
	s->own = false;
	smtp_link_drop(s);	/* the next one says who the client is (XCLIENT LOGIN) */
	smtp_say(s, "235 2.7.0 Authentication succeeded");
	return go_on(s);
}

static enum smtp_step
ask_client(struct smtp_session *s, struct slice challenge)
{
	s->auth->wait = AUTH_RESPONSE;
	if (s->client != NULL)
		buf_printf(conn_out(s->client), "334 %.*s\r\n", (int)challenge.len, challenge.at);
	if (!s->waiting)
		return STEP_NEXT;
	smtp_resume(s);
	return STEP_WAIT;
}

void
smtp_auth_ready(struct smtp_session *s)
{
	struct smtp_auth *a = s->auth;
	const char *mechanism = sasl_mechanism_name(a->watch.mechanism);
	struct slice initial = buf_slice(&a->initial);

	if (!(smtp_backend_caps(s->link)->mechanisms & a->watch.mechanism)) {
		give_back(s);		/* it was offered from what the server said the last time */
		fail_with(s, NOT_NOW);
		return;
	}
	if (strlen("AUTH  ") + strlen(mechanism) + initial.len > COMMAND_MAX)
		initial.len = 0;
	else if (a->has_initial && initial.len == 0)
		initial = SLICE("=");
	a->wait = AUTH_ANSWER;
	smtp_backend_auth(s->link, slice_of(mechanism), initial);
	if (initial.len > 0)
		buf_free(&a->initial);
}

static enum smtp_step
relay(struct smtp_session *s)
{
	struct smtp_auth *a = s->auth;
	const struct conf_backend *to = smtp_auth_backend(s, slice_of(a->watch.user));

	if (to == NULL) {		/* the offer came from there; never so */
		give_back(s);
		return fail_with(s, NOT_NOW);
	}
	a->backend = site_backend(s->site, to);
	a->wait = AUTH_SESSION;
	s->waiting = true;
	if (smtp_link_own(s, a->backend))
		smtp_auth_ready(s);
	return STEP_WAIT;
}

/* Why AUTH cannot begin; NULL: it can. */
static const char *
reason_not_to(const struct smtp_session *s, unsigned mechanism, struct slice word, struct slice initial)
{
	if (word.len == 0 || slice_has(initial, ' '))
		return "501 5.5.4 Syntax: AUTH mechanism [initial-response]";
	if (!smtp_auth_is_on(s->listener))
		return "502 5.5.1 AUTH is not available here";
	if (!s->esmtp)
		return "503 5.5.1 Say EHLO first";
	if (smtp_auth_done(s))
		return "503 5.5.1 You have authenticated already";
	if (s->listener->auth == CONF_AUTH_TLS && s->tls == NULL)
		return "538 5.7.11 Encryption is required: say STARTTLS first";
	if (!(smtp_auth_offers(s) & mechanism))
		return "504 5.5.4 This mechanism is not offered here";
	if (initial.len > 0 && !sasl_client_begins(mechanism))
		return "501 5.7.0 In this mechanism the server begins";
	return NULL;
}

/* Behind AUTH commands may be pipelined only when it needs no answer but the last (RFC 4954 section 4, its end):
 * anything else we would take for a response. */
static bool
may_pipeline(unsigned mechanism, struct slice initial)
{
	return initial.len > 0 && (mechanism == SASL_PLAIN || mechanism == SASL_EXTERNAL);
}

enum smtp_step
smtp_auth(struct smtp_session *s, struct slice args)
{
	struct slice word = slice_word(&args), initial = slice_trim(args);
	unsigned mechanism = sasl_mechanism_bit(word);
	const char *trouble = reason_not_to(s, mechanism, word, initial);
	struct smtp_auth *a;

	if (buf_len(conn_in(s->client)) > 0 && !may_pipeline(mechanism, initial))
		return smtp_end(s, "554 5.5.0 Improper pipelining", "improper pipelining");
	if (trouble != NULL)
		return smtp_refuse(s, trouble);
	a = s->auth = mem_new(sizeof(*a));
	sasl_watch_begin(&a->watch, mechanism);
	buf_init(&a->initial, SMTP_AUTH_LINE_MAX);
	buf_secret(&a->initial, true);
	buf_init(&a->reply, REPLY_MAX);
	timer_init(&a->delay, s->server->loop, on_delay, s);
	if (!book(s, smtp_throttle_address(s->server->throttle, &s->peer)))
		return fail_with(s, PUT_OFF);
	a->has_initial = initial.len > 0;
	if (slice_is(initial, "="))
		initial.len = 0;
	if (a->has_initial)
		trouble = hear(s, initial);
	if (trouble != NULL)
		return fail_with(s, trouble);
	if (mechanism == SASL_EXTERNAL)
		return a->has_initial ? end_external(s) : ask_client(s, SLICE(""));
	buf_put(&a->initial, initial);
	return relay(s);
}

enum smtp_step
smtp_auth_line(struct smtp_session *s, struct slice line)
{
	struct smtp_auth *a = s->auth;
	const char *trouble;

	if (buf_len(conn_in(s->client)) > 0)
		return smtp_end(s, "554 5.5.0 Improper pipelining", "improper pipelining");
	if (a->backend != NULL && s->link == NULL) {	/* lost while the client thought */
		give_back(s);
		return fail_with(s, NOT_NOW);
	}
	trouble = slice_is(line, "*") ? "501 5.7.0 Authentication cancelled" : hear(s, line);
	if (trouble != NULL)
		return cancel(s, trouble);
	if (a->backend == NULL)
		return end_external(s);
	a->wait = AUTH_ANSWER;
	s->waiting = true;
	smtp_backend_auth_more(s->link, line);
	return STEP_WAIT;
}

enum smtp_step
smtp_auth_too_long(struct smtp_session *s)
{
	return cancel(s, "500 5.5.6 Authentication exchange line is too long");
}

static bool
is_base64(struct slice text)
{
	struct buf out;
	bool good;

	buf_init(&out, SMTP_AUTH_LINE_MAX);
	buf_secret(&out, true);
	good = b64_decode(&out, text);
	buf_free(&out);
	return good;
}

/* 334. Where the client has to begin, some say in words that it may ("334 NTLM supported"). */
static void
challenged(struct smtp_session *s, const struct smtp_reply *reply)
{
	struct smtp_auth *a = s->auth;
	struct slice rest = buf_slice(&reply->text), text = slice_cut(&rest, '\n');
	bool good = reply->lines == 1 && text.len <= SMTP_AUTH_LINE_MAX && is_base64(text);
	bool begins = sasl_client_begins(a->watch.mechanism) && (a->watch.messages == 0 || buf_len(&a->initial) > 0);

	if (!good && begins)
		text.len = 0;
	if (!good && !begins) {
		cancel(s, NO_SENSE);
	} else if (buf_len(&a->initial) > 0) {
		smtp_backend_auth_more(s->link, buf_slice(&a->initial));
		buf_free(&a->initial);
	} else if (sasl_watch_over(&a->watch)) {
		cancel(s, NO_SENSE);	/* all that the mechanism has was said */
	} else {
		ask_client(s, text);
	}
}

/* The session stays this client's, for another try too; only what leaves its state unclear ends it. */
static void
answered(struct smtp_session *s, const struct smtp_reply *reply)
{
	struct smtp_auth *a = s->auth;
	int class = smtp_reply_class(reply);

	if (reply->code == 235) {
		let_in(s, a->watch.user);
		if (s->client != NULL)
			smtp_reply_say(reply, conn_out(s->client));
		go_on(s);
		return;
	}
	if (class != 5)
		give_back(s);
	if (class < 4) {
		smtp_link_drop(s);
		fail_with(s, NO_SENSE);
		return;
	}
	buf_clear(&a->reply);
	smtp_reply_say(reply, &a->reply);
	fail(s);
}

void
smtp_auth_reply(struct smtp_session *s, const struct smtp_reply *reply)
{
	if (s->auth == NULL)
		return;
	if (s->auth->wait == AUTH_CANCELLED)
		fail(s);		/* the reply is there already, whatever it answers to "*" */
	else if (s->auth->wait != AUTH_ANSWER)
		smtp_link_drop(s);
	else if (reply->code == 334)
		challenged(s, reply);
	else
		answered(s, reply);
}

void
smtp_auth_lost(struct smtp_session *s, const char *why)
{
	struct smtp_auth *a = s->auth;

	if (a == NULL || a->wait == AUTH_RESPONSE || a->wait == AUTH_DELAY)
		return;
	/* Once the exchange runs, a server's last words may be the client's secrets. */
	log_warn("%s: backend %s: AUTH: %s", s->id, a->backend->conf->name, a->wait == AUTH_SESSION ? why : "the session was lost");
	if (a->wait == AUTH_CANCELLED) {
		fail(s);
		return;
	}
	give_back(s);
	fail_with(s, NOT_NOW);
}

void
smtp_auth_leave(struct smtp_session *s)
{
	if (!s->own || smtp_auth_done(s))
		return;
	s->own = false;
	if (s->link_ready)
		smtp_backend_quit(&s->link);
	smtp_link_drop(s);
}
