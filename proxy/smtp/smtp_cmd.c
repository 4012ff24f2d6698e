#include <stdio.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_int.h"

#define HEADERS_ALLOWANCE 4096	/* octets that our own header fields may add to a message */

static bool
is_hello_name(struct slice name)
{
	if (name.len == 0 || name.len > SMTP_HELO_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.at[i] <= ' ' || name.at[i] > '~')
			return false;
	return true;
}

/* RFC 5321 section 4.1.4: EHLO or HELO again is like RSET. */
static bool
hello(struct smtp_session *s, struct slice args, bool esmtp)
{
	struct slice name = slice_word(&args);

	if (!is_hello_name(name) || args.len > 0)
		return false;
	smtp_transaction_abort(s);
	slice_copy(name, s->helo, sizeof(s->helo));
	s->esmtp = esmtp;
	smtp_enter(s, SMTP_READY);
	return true;
}

static enum smtp_step
cmd_helo(struct smtp_session *s, struct slice args)
{
	if (!hello(s, args, false))
		return smtp_refuse(s, "501 5.5.4 Syntax: HELO hostname");
	smtp_say(s, "250 %s", s->site->conf->hostname);
	return STEP_NEXT;
}

/* Whether STARTTLS is there for this client now. */
static bool
can_start_tls(const struct smtp_session *s)
{
	enum conf_tls_mode mode = s->listener->tls_mode;

	return s->tls[0] == '\0' && (mode == CONF_TLS_OFFER || mode == CONF_TLS_REQUIRE);
}

/* What a backend is known to offer to this client; NULL: nothing yet. */
static const struct backend_caps *
known_caps(const struct smtp_session *s, const struct backend *b)
{
	if (b->conf->original)
		return &s->original_caps;
	return b->caps_known ? &b->caps : NULL;
}

/* What we can honour: 8BITMIME only when every backend has it; the smallest SIZE of all. */
void
smtp_offer(const struct smtp_session *s, struct smtp_offer *offer)
{
	const struct site *site = s->site;

	offer->hostname = site->conf->hostname;
	offer->size = s->listener->max_size;
	offer->starttls = can_start_tls(s);
	offer->eightbit = true;
	for (size_t i = 0; i < site->conf->nbackends; i++) {
		const struct backend *b = site->backends[i];
		const struct backend_caps *caps = known_caps(s, b);

		if (b->conf->protocol == CONF_IMAP)	/* no mail goes there */
			continue;
		offer->eightbit = offer->eightbit && caps != NULL && caps->eightbit;
		if (caps != NULL && caps->size > HEADERS_ALLOWANCE && caps->size - HEADERS_ALLOWANCE < offer->size)
			offer->size = caps->size - HEADERS_ALLOWANCE;
	}
}

static enum smtp_step
cmd_ehlo(struct smtp_session *s, struct slice args)
{
	struct smtp_offer offer;

	if (!hello(s, args, true))
		return smtp_refuse(s, "501 5.5.4 Syntax: EHLO hostname");
	smtp_offer(s, &offer);
	smtp_ehlo_say(&offer, conn_out(s->client));
	return STEP_NEXT;
}

/* RFC 3207 section 4. Whatever the client said before is forgotten; dispatch() has made sure that
 * nothing was sent behind the command. */
static enum smtp_step
cmd_starttls(struct smtp_session *s, struct slice args)
{
	struct err err = { "" };

	if (args.len > 0)
		return smtp_refuse(s, "501 5.5.4 STARTTLS takes no parameter");
	if (s->tls[0] != '\0')
		return smtp_refuse(s, "503 5.5.1 TLS is active already");
	if (!can_start_tls(s))
		return smtp_refuse(s, "502 5.5.1 TLS is not available here");
	smtp_transaction_abort(s);
	smtp_say(s, "220 2.0.0 Ready to start TLS");
	if (conn_starttls(s->client, site_tls(s->site, s->listener), NULL, &err) == -1) {
		log_warn("%s: STARTTLS: %s", s->id, err.text);
		return smtp_end(s, NULL, "STARTTLS failed");
	}
	smtp_enter(s, SMTP_GREETED);
	s->helo[0] = '\0';
	s->esmtp = false;
	s->handshake = true;
	return STEP_WAIT;
}

static enum smtp_step
cmd_rset(struct smtp_session *s, struct slice args)
{
	if (args.len > 0)
		return smtp_refuse(s, "501 5.5.4 RSET takes no parameter");
	smtp_transaction_abort(s);
	if (s->state != SMTP_GREETED)
		smtp_enter(s, SMTP_READY);
	return smtp_ok(s, "250 2.0.0 Ok");
}

static enum smtp_step
cmd_noop(struct smtp_session *s, struct slice args)
{
	(void)args;
	return smtp_ok(s, "250 2.0.0 Ok");
}

static enum smtp_step
cmd_vrfy(struct smtp_session *s, struct slice args)
{
	if (args.len == 0)
		return smtp_refuse(s, "501 5.5.4 Syntax: VRFY address");
	return smtp_ok(s, "252 2.5.0 Cannot VRFY the user, but will take mail for it and try to deliver");
}

static enum smtp_step
cmd_help(struct smtp_session *s, struct slice args)
{
	(void)args;
	return smtp_ok(s, "214 2.0.0 HELO EHLO STARTTLS MAIL RCPT DATA RSET NOOP VRFY HELP QUIT (RFC 5321)");
}

static enum smtp_step
cmd_quit(struct smtp_session *s, struct slice args)
{
	if (args.len > 0)
		return smtp_refuse(s, "501 5.5.4 QUIT takes no parameter");
	s->quit = true;
	return smtp_end(s, "221 2.0.0 Bye", "quit");
}

static enum smtp_step
cmd_obsolete(struct smtp_session *s, struct slice args)
{
	(void)args;
	return smtp_refuse(s, "502 5.5.1 Command not implemented here");
}

static const struct smtp_cmd smtp_cmds[] = {
	/* verb       handler       legal in                        flags */
	{ "EHLO",     cmd_ehlo,     IN_ANY,                         CMD_PRE_TLS | CMD_LAST | CMD_JUNK },
	{ "HELO",     cmd_helo,     IN_ANY,                         CMD_PRE_TLS | CMD_LAST | CMD_JUNK },
	{ "STARTTLS", cmd_starttls, IN(READY) | IN(MAIL) | IN(RCPT), CMD_PRE_TLS | CMD_LAST },
	{ "MAIL",     smtp_mail,    IN(READY),                      0 },
	{ "RCPT",     smtp_rcpt,    IN(MAIL) | IN(RCPT),            0 },
	{ "DATA",     smtp_data,    IN(MAIL) | IN(RCPT),            CMD_LAST },
	{ "RSET",     cmd_rset,     IN_ANY,                         CMD_JUNK },
	{ "NOOP",     cmd_noop,     IN_ANY,                         CMD_PRE_TLS | CMD_JUNK },
	{ "VRFY",     cmd_vrfy,     IN_ANY,                         CMD_JUNK },
	{ "HELP",     cmd_help,     IN_ANY,                         CMD_PRE_TLS | CMD_JUNK },
	{ "QUIT",     cmd_quit,     IN_ANY,                         CMD_PRE_TLS },
	{ "EXPN",     cmd_obsolete, IN_ANY,                         0 },
	{ "TURN",     cmd_obsolete, IN_ANY,                         0 },	/* RFC 5321 appendix F.1 */
	{ "ETRN",     cmd_obsolete, IN_ANY,                         0 },
	{ "SEND",     cmd_obsolete, IN_ANY,                         0 },	/* appendix F.6, and the next two */
	{ "SOML",     cmd_obsolete, IN_ANY,                         0 },
	{ "SAML",     cmd_obsolete, IN_ANY,                         0 },
};

const struct smtp_cmd *
smtp_cmd_find(struct slice verb)
{
	for (size_t i = 0; i < NITEMS(smtp_cmds); i++)
		if (slice_iis(verb, smtp_cmds[i].verb))
			return &smtp_cmds[i];
	return NULL;
}
