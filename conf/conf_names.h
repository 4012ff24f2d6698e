/* conf_names.h - what names may look like. Each says NULL when the text is one, else what is wrong. */
#ifndef CONF_CONF_NAMES_H
#define CONF_CONF_NAMES_H

const char *conf_domain_fault(const char *);	/* "mx.example.org": RFC 1123 section 2.1, RFC 1035 section 2.3.4 */
const char *conf_recipient_fault(const char *);	/* "bob@example.org", "example.org", ".example.org" */
const char *conf_route_fault(const char *);	/* the same, and "*" */
const char *conf_name_fault(const char *);	/* a block's name */
const char *conf_user_fault(const char *);	/* NAME or UID[:GID] */
const char *conf_login_fault(const char *);	/* a user's name for SASL */
const char *conf_who_fault(const char *);	/* the same, "*@example.org", "*" */
const char *conf_refusal_fault(const char *);	/* words of an SMTP reply (RFC 5321 section 4.2); {id} {from} {to} {host} */
const char *conf_ciphers_fault(const char *);	/* characters of an OpenSSL cipher list */
const char *conf_pin_fault(const char *);	/* "sha256//" and the base64 of a digest */

#endif
