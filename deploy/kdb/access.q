/ Who may come in, and what may be asked: named functions with values as arguments. Text is never evaluated.

/ users: name:role:salt:sha1 of salt,password, a line each; made by add-user.sh
.hg.users:1!flip `name`role`salt`hash!("SS**";":") 0: hsym `$first .Q.opt[.z.x]`users

.hg.readers:`.hg.position`.hg.days`.hg.rows`.hg.last`.hg.bars`.hg.asof`.hg.dailyMeta`.hg.dailyRows
.hg.writers:.hg.readers,`upd`.hg.append`.hg.eod`.hg.dailyPut,$[`test in key .Q.opt .z.x;`.hg.reset;`symbol$()]
.hg.allowed:`reader`writer!(.hg.readers;.hg.writers)

.z.pw:{[u;p] $[u in exec name from .hg.users;.hg.users[u;`hash]~raze string -33!.hg.users[u;`salt],p;0b]}

.hg.gate:{[x]
  if[not $[0h=type x;1<count x;0b];'"not_allowed"];
  f:first x;
  f:$[10h=type f;`$f;f];
  if[not -11h=type f;'"not_allowed"];
  if[not f in .hg.allowed .hg.users[.z.u;`role];'"not_allowed"];
  (get f) . 1_x}

.z.pg:.hg.gate
.z.ps:{.hg.gate x;}
.z.ph:{'"not_allowed"}
.z.pp:{'"not_allowed"}
.z.ws:{'"not_allowed"}
