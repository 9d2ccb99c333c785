// The headers that receiving servers put on top of a mail, in the forms of the large providers, and a mail below.

export const WRITTEN = `From: Alice <alice@example.com>
To: bot@threadbox.test
Subject: [app] Tests
Date: Fri, 20 Nov 2026 10:00:00 +0000
Message-ID: <1@example.com>

npm test
`;
export const RECEIVED = `Received: from out.example.com (out.example.com [192.0.2.1])
\tby mx.example.net with ESMTPS id 1; Fri, 20 Nov 2026 10:00:01 +0000
`;

export const GMAIL = `Delivered-To: bot@threadbox.test
Received: by 2002:a05:6402:1 with SMTP id x1; Fri, 20 Nov 2026 02:00:01 -0800 (PST)
X-Received: by 2002:a17:907:2 with SMTP id y2; Fri, 20 Nov 2026 02:00:01 -0800 (PST)
ARC-Seal: i=1; a=rsa-sha256; cv=none; d=google.com; s=arc-20240605; b=abc
ARC-Authentication-Results: i=1; mx.google.com;
       dkim=pass header.i=@example.com header.s=s1 header.b="a/b=="
Return-Path: <alice@example.com>
Received: from out.example.com (out.example.com. [192.0.2.1])
        by mx.google.com with ESMTPS id z3 for <bot@threadbox.test>; Fri, 20 Nov 2026 02:00:01 -0800
Received-SPF: pass (google.com: domain of alice@example.com designates 192.0.2.1 as permitted sender)
Authentication-Results: mx.google.com;
       dkim=pass header.i=@example.com header.s=s1 header.b="a/b==";
       spf=pass (google.com: domain of alice@example.com designates 192.0.2.1 as permitted sender) smtp.mailfrom=alice@example.com;
       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=example.com;
       dara=pass header.i=@threadbox.test
DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s1; h=from:subject:date; bh=x; b=a/b==
`;
export const FASTMAIL = `Return-Path: <alice@example.com>
Received: from phl-compute-01.internal (phl-compute-01.internal [10.202.2.1])
\tby store01.internal (Cyrus 3.11) with LMTPA; Fri, 20 Nov 2026 05:00:01 -0500
Received: from mx3.messagingengine.com (localhost [127.0.0.1])
\tby mailmx.phl.internal (Postfix) with ESMTP id 1
X-ME-Authentication-Results: mx3.messagingengine.com;
    x-aligned-from=pass (Address match)
Authentication-Results: mx3.messagingengine.com;
    x-csa=none;
    x-me-sender=none;
    x-ptr=pass smtp.helo=out.example.com policy.ptr=out.example.com
Authentication-Results: mx3.messagingengine.com;
    bimi=skipped (DMARC Policy is not at enforcement)
Authentication-Results: mx3.messagingengine.com;
    arc=none (no signatures found)
Authentication-Results: mx3.messagingengine.com;
    dkim=pass (2048-bit rsa key sha256) header.d=example.com
      header.i=@example.com header.b=a/b= header.a=rsa-sha256 header.s=s1
      x-bits=2048;
    dmarc=pass policy.published-domain-policy=reject
      policy.applied-disposition=none (p=reject,has-list-id=no,d=none)
      policy.policy-from=p header.from=example.com;
    iprev=pass smtp.remote-ip=192.0.2.1 (out.example.com);
    spf=pass smtp.mailfrom=alice@example.com smtp.helo=out.example.com;
    x-tls=pass smtp.version=TLSv1.3 smtp.cipher=TLS_AES_256_GCM_SHA384 smtp.bits=256/256
X-ME-VSSU: VW5zdWI9
`;
export const ICLOUD = `X-Proofpoint-GUID: 1
${RECEIVED}Authentication-Results: bimi.icloud.com; bimi=skipped reason="insufficient dmarc"
X-ARC-Info: policy=fail; arc=none
Authentication-Results: arc.icloud.com; arc=none
Authentication-Results: dmarc.icloud.com; dmarc=pass header.from=example.com
X-DMARC-Info: pass=pass; dmarc-policy=(nopolicy); s=r1; d=r1
Authentication-Results: dkim-verifier.icloud.com;
 dkim=pass (2048-bit key) header.d=example.com header.i=@example.com header.b=abc
Authentication-Results: spf.icloud.com; spf=pass (spf.icloud.com: domain of alice@example.com
 designates 192.0.2.1 as permitted sender) smtp.mailfrom=alice@example.com
`;
export const PROTON = `X-Original-To: bot@threadbox.test
Authentication-Results: mail.protonmail.ch; dkim=pass (Good 2048 bit
 rsa-sha256 signature) header.d=example.com header.a=rsa-sha256
Authentication-Results: mail.protonmail.ch; dmarc=pass (p=none dis=none) header.from=example.com
Authentication-Results: mail.protonmail.ch; spf=pass smtp.mailfrom=example.com
Authentication-Results: mail.protonmail.ch; arc=none smtp.remote-ip=192.0.2.1
${RECEIVED}`;
export const YAHOO = `X-Apparently-To: bot@threadbox.test; Fri, 20 Nov 2026 10:00:01 +0000
Return-Path: <alice@example.com>
Authentication-Results: atlas-production.v2-mail-prod1-gq1.omega.yahoo.com;
 dkim=pass header.i=@example.com header.s=s1;
 spf=pass smtp.mailfrom=example.com;
 dmarc=pass(p=REJECT) header.from=example.com;
${RECEIVED}`;
export const POSTFIX = `Return-Path: <alice@example.com>
Delivered-To: bot@threadbox.test
${RECEIVED}DMARC-Filter: OpenDMARC Filter v1.4.2 mx.example.net 4Q
Authentication-Results: mx.example.net; dmarc=pass (p=reject dis=none) header.from=example.com
Authentication-Results: mx.example.net; spf=pass smtp.mailfrom=example.com
DKIM-Filter: OpenDKIM Filter v2.11.0 mx.example.net 4Q
Authentication-Results: mx.example.net;
\tdkim=pass (2048-bit key; unprotected) header.d=example.com header.i=@example.com header.a=rsa-sha256 header.s=s1 header.b=abc;
\tdkim-atps=neutral
`;
export const MICROSOFT = `Received: from AM0PR01MB1.eurprd01.prod.exchangelabs.com (2603::1) by
 DB1PR01MB2.eurprd01.prod.exchangelabs.com with HTTPS; Fri, 20 Nov 2026 10:00:02 +0000
Authentication-Results: spf=pass (sender IP is 192.0.2.1)
 smtp.mailfrom=example.com; threadbox.test; dkim=pass (signature was verified)
 header.d=example.com;dmarc=pass action=none
 header.from=example.com;compauth=pass reason=100
Received-SPF: Pass (protection.outlook.com: domain of example.com designates 192.0.2.1 as permitted sender)
${RECEIVED}X-MS-Exchange-Organization-AuthSource: AM1.eurprd01.prod.outlook.com
X-MS-Exchange-Organization-AuthAs: Anonymous
`;
