/ The functions that engine/history/kdb.py calls: writing with a log, end of day into date partitions, queries.
/ What each promises is in README.md; tests/kdb_double/functions.py says the same in Python.
/ Times come in as ns since 1970 and go out as timestamps. Errors read "code field: what was expected".

/ ---- rows of days that are not closed, and what is known of all rows

.hg.mem:.hg.names!.hg.empty each .hg.names
.hg.pos:([dataset:`symbol$();tab:`symbol$();source:`symbol$();date:`date$()] seq:`long$())  / highest seq
.hg.cov:([] dataset:`symbol$();tab:`symbol$();date:`date$())                               / what has rows
.hg.ts:{`timestamp$x-946684800000000000}

.hg.checkTable:{[t] if[not t in .hg.names;'"unknown_table ",string[t],": one of: ",", " sv string .hg.names]}
.hg.checkDataset:{[ds]
  d:asc exec distinct dataset from .hg.cov;
  if[not ds in d;'"unknown_dataset ",string[ds],": one of: ",$[count d;", " sv string d;"none yet"]]}

/ ---- writing

/ columns in their order; a text of one character arrives as a char
.hg.fit:{[t;rows]
  c:`time`sym`seq,.hg.columns t;
  if[not all c in cols rows;'"missing_column ",string[t],": ",", " sv string c];
  {@[x;y;{(),/:x}]}/[c#0!rows;c inter .hg.text]}

.hg.append:{[ds;t;src;rows]
  .hg.checkTable t;
  r:.hg.fit[t;rows];
  if[not null src;
    n:count r;
    k:.hg.pos[([] dataset:n#ds;tab:n#t;source:n#src;date:`date$r`time)];
    r:r where r[`seq]>0^k`seq];
  if[count r;.hg.logh enlist(`.hg.take;ds;t;src;r);.hg.take[ds;t;src;r]];
  count r}

/ what .hg.append does after its log: also what the log is replayed through
.hg.take:{[ds;t;src;r]
  .hg.mem[t],:cols[.hg.mem t]#update dataset:ds from r;
  d:distinct `date$r`time;
  .hg.cov:distinct .hg.cov,([] dataset:count[d]#ds;tab:count[d]#t;date:d);
  if[not null src;
    p:0!select seq:max seq by date:`date$time from r;
    `.hg.pos upsert cols[.hg.pos]#update dataset:ds,tab:t,source:src from p]}

/ the rows that are still in memory when a log begins
.hg.keep:{[t;r] .hg.mem[t],:r}

/ what a tickerplant's subscriber is called with
upd:{[t;x] .hg.append[`live;t;`;x]}

.hg.position:{[ds;t;src] 0|exec max seq from .hg.pos where dataset=ds,tab=t,source=src}

.hg.days:{[ds;t]
  .hg.checkDataset ds;
  d:asc exec date from .hg.cov where dataset=ds,tab=t;
  `long$(10000*`year$d)+(100*`mm$d)+`dd$d}

/ ---- end of day: rows of one date into its partition, parted by sym

.hg.onDisk:{[t] $[`pt in key `.Q;t in .Q.pt;0b]}

.hg.disk:{[t;c]
  k:delete date from ?[get t;c;0b;()];
  $[count k;update sym:value sym,dataset:value dataset from k;0#.hg.empty t]}

.hg.save:{[d;t]
  m:select from .hg.mem[t] where d=`date$time;
  k:$[.hg.onDisk t;.hg.disk[t;enlist(=;`date;d)];0#m];
  r:`sym`dataset`time`seq xasc distinct (cols[m]#k),m;  / distinct: a day that is closed twice has nothing twice
  new:.hg.home,"/staging/",string t;
  (hsym `$new,"/") set @[.Q.en[.hg.db] r;`sym;`p#];
  into:.hg.home,"/db/",string d;
  system "mkdir -p ",into;
  system "rm -rf ",into,"/",string t;
  system "mv ",new," ",into,"/",string t}

.hg.eod:{[n]
  d:"D"$string n;
  if[not any {[d;t] d in `date$exec time from .hg.mem t}[d] each .hg.names;:0b];
  .hg.closing set d;  / found at a start: the server went down between here and the end, and closes the day again
  .hg.save[d] each .hg.names;
  .hg.mem:{[d;r] delete from r where d=`date$time}[d] each .hg.mem;
  .hg.state set (.hg.pos;.hg.cov);
  .hg.rotate[];
  hdel .hg.closing;
  .hg.load[];
  1b}

.hg.rotate:{[]
  hclose .hg.logh;
  next:hsym `$.hg.home,"/log.next";
  next set ();
  h:hopen next;
  {[h;t] if[count .hg.mem t;h enlist(`.hg.keep;t;.hg.mem t)]}[h] each .hg.names;
  hclose h;
  system "mv ",.hg.home,"/log.next ",.hg.home,"/log";
  .hg.logh:hopen .hg.log}

.hg.load:{[] if[count key .hg.db;system "l ",.hg.home,"/db"]}

/ ---- reading

/ rows of a dataset and table, s <= time < e, in no order; syms (::) for all
.hg.get:{[ds;t;syms;s;e]
  .hg.checkTable t;.hg.checkDataset ds;
  c:$[syms~(::);();enlist(in;`sym;enlist syms)];
  c,:((=;`dataset;enlist ds);(>=;`time;s);(<;`time;e));
  m:?[.hg.mem t;c;0b;()];
  $[.hg.onDisk t;(cols[m]#.hg.disk[t;(enlist(within;`date;(`date$s;`date$e-1))),c]),m;m]}

.hg.out:{[t;r] (`time`sym`seq,.hg.columns t)#r}

.hg.rows:{[ds;t;syms;s;e] .hg.out[t] `time`seq`sym xasc .hg.get[ds;t;syms;.hg.ts s;.hg.ts e]}

/ the newest row of each sym at or before a time: from the newest day back until all that were asked for are found
.hg.last:{[ds;t;syms;at]
  .hg.checkTable t;.hg.checkDataset ds;
  e:.hg.ts at+1;
  days:desc exec date from .hg.cov where dataset=ds,tab=t,date<=`date$.hg.ts at;
  step:{[ds;t;syms;e;found;d]
    if[$[syms~(::);0b;all syms in found`sym];:found];
    r:`time`seq xasc .hg.get[ds;t;syms;`timestamp$d;e&`timestamp$d+1];
    r:cols[found]#0!select by sym from r;
    found,select from r where not sym in found`sym};
  .hg.out[t] `sym xasc step[ds;t;syms;e]/[.hg.empty t;days]}

/ bars of iv ns cut at o; a trade whose flags are odd (Flag.NON_PRINTABLE) counts for nothing, one with 64 (NO_PRICE)
/ makes the prices of a bar only where it has no others
.hg.bars:{[ds;iv;syms;s;e;o]
  r:`sym`time`seq xasc .hg.get[ds;`trade;syms;.hg.ts s;.hg.ts e];
  r:select from r where 0=flags mod 2;
  o:.hg.ts o;
  r:update closes:o+iv*1+(`long$time-o) div iv from r;
  r:update odd:1=(flags div 64) mod 2 from r;
  r:update odd:odd and not all odd by closes,sym from r;
  r:update p:?[odd;0N;price] from r;
  r:0!select open:last fills reverse p,high:max p,low:min p,close:last fills p,volume:sum size,trades:count i
    by time:closes,sym from r;
  .hg.out[`bar] update seq:1+i,interval:iv from `time`sym xasc r}

.hg.asof:{[ds;syms;s;e]
  q:`sym`time`seq xasc .hg.get[ds;`quote;syms;`timestamp$`date$.hg.ts s;.hg.ts e];
  q:update `g#sym from select sym,time,quote_time:time,bid,bid_size,ask,ask_size from q;
  r:aj[`sym`time;.hg.rows[ds;`trade;syms;s;e];q];
  update bid:0^bid,bid_size:0^bid_size,ask:0^ask,ask_size:0^ask_size from r}

/ ---- daily bars: a file a dataset, and an index that is written last

.hg.daily:([name:`symbol$()] description:())

.hg.hash:{[ds] $[ds in exec name from .hg.daily;(.j.k .hg.daily[ds;`description])`data_hash;""]}
.hg.dailyFile:{[ds] hsym `$.hg.home,"/daily/",string[ds],"-",16#.hg.hash ds}

.hg.dailyMeta:{[ignored] 0!.hg.daily}

.hg.dailyPut:{[ds;before;description;rows]
  if[not before~.hg.hash ds;'"overtaken ",string[ds],": nobody else writing the dataset"];
  old:$[count before;.hg.dailyFile ds;`];
  new:hsym `$.hg.home,"/daily/",string[ds],"-",16#(.j.k description)`data_hash;
  new set `date`sym xasc 0!rows;
  `.hg.daily upsert (ds;description);
  .hg.index set .hg.daily;
  if[not old in (`;new);hdel old];
  1b}

.hg.dailyRows:{[ds;syms;f;l]
  d:exec name from .hg.daily;
  if[not ds in d;'"unknown_dataset ",string[ds],": one of: ",$[count d;", " sv string d;"none yet"]];
  r:select from get .hg.dailyFile ds where date within (f;l);
  $[syms~(::);r;select from r where sym in syms]}

/ ---- start: state, partitions, log, a day that was being closed

.hg.home:first .Q.opt[.z.x]`home
.hg.db:hsym `$.hg.home,"/db"
.hg.log:hsym `$.hg.home,"/log"
.hg.state:hsym `$.hg.home,"/state"
.hg.index:hsym `$.hg.home,"/daily.index"
.hg.closing:hsym `$.hg.home,"/closing"

.hg.start:{[]
  if[count key .hg.state;s:get .hg.state;.hg.pos:s 0;.hg.cov:s 1];
  if[count key .hg.index;.hg.daily:get .hg.index];
  .hg.load[];
  if[not count key .hg.log;.hg.log set ()];
  -11!(first -11!(-2;.hg.log);.hg.log);  / whole messages only: the last may have been cut off
  .hg.logh:hopen .hg.log;
  if[count key .hg.closing;d:get .hg.closing;.hg.eod (10000*`year$d)+(100*`mm$d)+`dd$d]}

/ for tests alone, and only where the server was started with -test 1
.hg.reset:{[ignored]
  if[not `test in key .Q.opt .z.x;'"not_allowed"];
  hclose .hg.logh;
  system "rm -rf ",.hg.home,"/db ",.hg.home,"/daily ",.hg.home,"/daily.index ",.hg.home,"/state ",.hg.home,"/log";
  if[`pt in key `.Q;![`.;();0b;.Q.pt];![`.Q;();0b;enlist`pt]];
  .hg.mem:.hg.names!.hg.empty each .hg.names;
  .hg.pos:0#.hg.pos;.hg.cov:0#.hg.cov;.hg.daily:0#.hg.daily;
  .hg.start[]}
